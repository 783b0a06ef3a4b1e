package vector

import "fmt"

// ShardName returns the name of a file in a folder of captured values, from 000000.safetensors.
func ShardName(number int) string { return fmt.Sprintf("%06d.safetensors", number) }
