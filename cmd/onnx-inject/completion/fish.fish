# Completion of onnx-inject for fish: onnx-inject completion fish | source

function __onnx_inject
  set -l words (commandline -opc)
  set -l typed (commandline -ct)
  $words[1] __complete $words[2..] "$typed" 2>/dev/null
end

complete -c onnx-inject -e
complete -c onnx-inject -k -f -a '(__onnx_inject)'
complete -c onnx-inject -n 'not count (__onnx_inject) >/dev/null' -F
