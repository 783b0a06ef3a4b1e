# Completion of onnx-inject for PowerShell: onnx-inject completion powershell | Out-String | Invoke-Expression

Register-ArgumentCompleter -Native -CommandName onnx-inject -ScriptBlock {
  param($word, $line, $position)
  $words = @($line.CommandElements | ForEach-Object { $_.ToString() })
  if ($word -ne '') { $words = @($words | Select-Object -SkipLast 1) }
  $typed = if ($word -ne '') { $word } else { ' ' } # an empty argument would be dropped
  & $words[0] __complete @($words | Select-Object -Skip 1) $typed 2>$null | ForEach-Object {
    $name, $what = $_ -split "`t", 2
    if ($name -like "$word*") {
      [System.Management.Automation.CompletionResult]::new($name, $name, 'ParameterValue', $(if ($what) { $what } else { $name }))
    }
  }
}
