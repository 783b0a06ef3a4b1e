#compdef onnx-inject
# Completion of onnx-inject for zsh: source <(onnx-inject completion zsh)

_onnx_inject() {
  local -a found
  local cur=${words[CURRENT]}
  if [[ "$cur" == -* ]]; then
    found=("${(@f)$(${words[1,CURRENT-1]} $cur --generate-bash-completion 2>/dev/null)}")
  else
    found=("${(@f)$(${words[1,CURRENT-1]} --generate-bash-completion 2>/dev/null)}")
  fi
  if [[ -n "${found[1]}" ]]; then
    compadd -a found
  else
    _files
  fi
}

compdef _onnx_inject onnx-inject
