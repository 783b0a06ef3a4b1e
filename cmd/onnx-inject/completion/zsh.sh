#compdef onnx-inject
# Completion of onnx-inject for zsh: source <(onnx-inject completion zsh)

_onnx_inject() {
  local -a found names
  found=("${(@f)$(${words[1]} __complete "${(@)words[2,CURRENT]}" 2>/dev/null)}")
  if [[ -n "${found[1]}" ]]; then
    names=("${(@)found%%$'\t'*}")
    found=("${(@)found/$'\t'/  -- }")
    compadd -l -d found -a names
  else
    _files
  fi
}

compdef _onnx_inject onnx-inject
