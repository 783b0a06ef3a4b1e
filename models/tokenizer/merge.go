package tokenizer

import (
	"container/heap"
	"math"
	"slices"
)

// A merge joins two neighbouring tokens into one. Lower ranks come first; the rank is the index in the list of merges. Rank
// and id are packed so that comparing merges compares ranks.
type merge uint64

const none merge = math.MaxUint64 // no merge: sorts after every other

func packMerge(rank, id int) merge { return merge(rank)<<32 | merge(id) }
func (m merge) id() int32          { return int32(m) }

func pair(left, right int32) uint64 { return uint64(left)<<32 | uint64(right) }

func (m *model) mergeOf(left, right int32) merge {
	if x, ok := m.merges[pair(left, right)]; ok {
		return x
	}
	return none
}

// short is the number of tokens up to which searching the whole piece for the next merge is faster than a heap.
const short = 48

// merge merges the tokens of one piece and returns the remaining tokens, in the same memory.
func (m *model) merge(ids []int32) []int32 {
	if len(ids) <= short {
		return m.scan(ids)
	}
	return m.queue(ids)
}

// scan merges by searching for the lowest rank each time. It allocates nothing and is quadratic in the length, which is at
// most short.
func (m *model) scan(ids []int32) []int32 {
	var next [short]merge // next[i] merges ids[i] and ids[i+1]
	n := len(ids)
	for i := 1; i < n; i++ {
		next[i-1] = m.mergeOf(ids[i-1], ids[i])
	}
	for n > 1 {
		best := 0
		for i := 1; i < n-1; i++ {
			if next[i] < next[best] { // of equal ranks, the leftmost wins
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
			next[best] = m.mergeOf(ids[best], ids[best+1])
		}
		if best > 0 {
			next[best-1] = m.mergeOf(ids[best-1], ids[best])
		}
	}
	return ids[:n]
}

// queue does the same as scan with a heap of possible merges, in n log n time, for long runs such as a page of one letter.
func (m *model) queue(ids []int32) []int32 {
	const dead = -1                                             // the id of a token that was merged into its left neighbour
	left, right := make([]int, len(ids)), make([]int, len(ids)) // neighbours, a linked list
	for i := range ids {
		left[i], right[i] = i-1, i+1
	}
	var q candidates
	consider := func(i int) {
		if i >= 0 && right[i] < len(ids) {
			if x := m.mergeOf(ids[i], ids[right[i]]); x != none {
				q = append(q, candidate{x, i})
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
		if ids[i] == dead || j >= len(ids) || m.mergeOf(ids[i], ids[j]) != c.merge {
			continue // a neighbour has changed
		}
		ids[i], ids[j] = c.id(), dead
		right[i] = right[j]
		if right[i] < len(ids) {
			left[right[i]] = i
		}
		push(i)
		push(left[i])
	}
	return slices.DeleteFunc(ids, func(id int32) bool { return id == dead })
}

// A candidate is a possible merge of the token that begins at byte at with its right neighbour.
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
