package graph

// slab allocates zero objects in blocks. A model has tens of thousands of nodes, values and lists of them, and one
// allocation each would take longer than reading the file. A block stays in memory as long as any of its objects.
type slab[T any] struct {
	free []T
	size int // size of the last block
}

func (s *slab[T]) new() *T { return &s.list(1)[0] }

// reserve makes room for n objects at once.
func (s *slab[T]) reserve(n int) {
	if n > len(s.free) {
		s.free = make([]T, n)
	}
}

// list returns n adjacent objects. The slice has no spare capacity, so appending cannot overwrite the next list.
func (s *slab[T]) list(n int) []T {
	if n > len(s.free) {
		s.size = max(n, min(2*s.size, 1024), 16)
		s.free = make([]T, s.size)
	}
	out := s.free[:n:n]
	s.free = s.free[n:]
	return out
}
