package tokenizer

import (
	"container/heap"
	"math"
)

// A merge says that two neighbouring tokens become one. The lower rank goes first; it is the place in the list of merges.
// Rank and id are packed so that comparing merges compares ranks.
type merge uint64

const none merge = math.MaxUint64 // no merge: after every other

func packMerge(rank, id int) merge { return merge(rank)<<32 | merge(id) }
func (m merge) id() int32          { return int32(m) }

func pair(left, right int32) uint64 { return uint64(left)<<32 | uint64(right) }

func (t *Tokenizer) mergeOf(left, right int32) merge {
	if m, ok := t.merges[pair(left, right)]; ok {
		return m
	}
	return none
}

// short is the length in bytes up to which searching the whole piece for the next merge beats a heap.
const short = 48

// appendPiece appends the ids of one piece.
func (t *Tokenizer) appendPiece(dst []int64, s string) []int64 {
	if len(s) <= short {
		return t.scan(dst, s)
	}
	return t.queue(dst, s)
}

// scan merges by searching for the lowest rank each time: no allocation, quadratic in the length of s, which is at most short.
func (t *Tokenizer) scan(dst []int64, s string) []int64 {
	var ids [short]int32
	var next [short]merge // next[i] merges ids[i] and ids[i+1]
	n := len(s)
	for i := range n {
		ids[i] = t.bytes[s[i]]
		if i > 0 {
			next[i-1] = t.mergeOf(ids[i-1], ids[i])
		}
	}
	for n > 1 {
		best := 0
		for i := 1; i < n-1; i++ {
			if next[i] < next[best] { // the leftmost of equals stays
				best = i
			}
		}
		if next[best] == none {
			break
		}
		ids[best] = next[best].id()
		copy(ids[best+1:n-1], ids[best+2:n])
		copy(next[best:n-2], next[best+1:n-1])
		n--
		if best < n-1 {
			next[best] = t.mergeOf(ids[best], ids[best+1])
		}
		if best > 0 {
			next[best-1] = t.mergeOf(ids[best-1], ids[best])
		}
	}
	for _, id := range ids[:n] {
		dst = append(dst, int64(id))
	}
	return dst
}

// queue does what scan does with a heap of possible merges: n log n, for long runs such as a page of one letter.
func (t *Tokenizer) queue(dst []int64, s string) []int64 {
	const dead = -1 // the id of a token that its left neighbour has swallowed
	ids := make([]int32, len(s))
	left, right := make([]int, len(s)), make([]int, len(s)) // neighbours, a linked list
	for i := range ids {
		ids[i], left[i], right[i] = t.bytes[s[i]], i-1, i+1
	}
	var q candidates
	consider := func(i int) {
		if i >= 0 && right[i] < len(ids) {
			if m := t.mergeOf(ids[i], ids[right[i]]); m != none {
				q = append(q, candidate{m, i})
			}
		}
	}
	for i := range ids {
		consider(i)
	}
	heap.Init(&q)
	push := func(i int) {
		n := len(q)
		if consider(i); len(q) > n {
			heap.Fix(&q, n)
		}
	}
	for len(q) > 0 {
		c := heap.Pop(&q).(candidate)
		i := c.at
		j := right[i]
		if ids[i] == dead || j >= len(ids) || t.mergeOf(ids[i], ids[j]) != c.merge {
			continue // a neighbour has changed since
		}
		ids[i], ids[j] = c.id(), dead
		right[i] = right[j]
		if right[i] < len(ids) {
			left[right[i]] = i
		}
		push(i)
		push(left[i])
	}
	for _, id := range ids {
		if id != dead {
			dst = append(dst, int64(id))
		}
	}
	return dst
}

// A candidate is a possible merge of the token that begins at byte at with the one after it.
type candidate struct {
	merge
	at int
}

type candidates []candidate

func (q candidates) Len() int      { return len(q) }
func (q candidates) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q candidates) Less(i, j int) bool {
	return q[i].merge < q[j].merge || q[i].merge == q[j].merge && q[i].at < q[j].at
}
func (q *candidates) Push(x any) { *q = append(*q, x.(candidate)) }
func (q *candidates) Pop() any {
	last := len(*q) - 1
	c := (*q)[last]
	*q = (*q)[:last]
	return c
}
