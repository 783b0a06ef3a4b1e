# Completion of onnx-inject for bash: source <(onnx-inject completion bash)

_onnx_inject() {
  local cur="${COMP_WORDS[COMP_CWORD]}" IFS=$'\n'
  local found=$("${COMP_WORDS[0]}" __complete "${COMP_WORDS[@]:1:COMP_CWORD-1}" "$cur" 2>/dev/null | cut -f1)
  COMPREPLY=($(compgen -W "$found" -- "$cur"))
}

complete -o bashdefault -o default -F _onnx_inject onnx-inject
