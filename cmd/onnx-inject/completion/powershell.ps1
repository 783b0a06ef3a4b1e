# Completion of onnx-inject for PowerShell: onnx-inject completion powershell | Out-String | Invoke-Expression

Register-ArgumentCompleter -Native -CommandName onnx-inject -ScriptBlock {
  param($word, $line, $position)
  $words = @($line.CommandElements | ForEach-Object { $_.ToString() })
  if ($word -ne '' -and -not $word.StartsWith('-')) { $words = $words[0..($words.Count - 2)] }
  & $words[0] @($words | Select-Object -Skip 1) --generate-bash-completion 2>$null |
    Where-Object { $_ -like "$word*" } |
    ForEach-Object { [System.Management.Automation.CompletionResult]::new($_, $_, 'ParameterValue', $_) }
}
