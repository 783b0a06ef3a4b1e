package eval

import "math/bits"

// twister is the Mersenne Twister MT19937 with the seeding of Python's random module, so that it repeats draws made in
// Python. Source: M. Matsumoto and T. Nishimura, mt19937ar.c (2002); CPython, Lib/random.py and Modules/_randommodule.c.
type twister struct {
	state [624]uint32
	next  int
}

// newTwister is random.seed(seed): init_by_array with seed as the only key.
func newTwister(seed uint32) *twister {
	t := &twister{next: 624}
	s := &t.state
	s[0] = 19650218
	for i := uint32(1); i < 624; i++ {
		s[i] = 1812433253*(s[i-1]^s[i-1]>>30) + i
	}
	i := 1
	step := func() {
		if i++; i == 624 {
			s[0], i = s[623], 1
		}
	}
	for range 624 {
		s[i] = (s[i] ^ (s[i-1]^s[i-1]>>30)*1664525) + seed
		step()
	}
	for range 623 {
		s[i] = (s[i] ^ (s[i-1]^s[i-1]>>30)*1566083941) - uint32(i)
		step()
	}
	s[0] = 1 << 31
	return t
}

// uint32 is genrand_int32.
func (t *twister) uint32() uint32 {
	s := &t.state
	if t.next == 624 {
		for i := range s {
			y := s[i]&(1<<31) | s[(i+1)%624]&(1<<31-1)
			s[i] = s[(i+397)%624] ^ y>>1 ^ -(y&1)&0x9908b0df
		}
		t.next = 0
	}
	y := s[t.next]
	t.next++
	y ^= y >> 11
	y ^= y << 7 & 0x9d2c5680
	y ^= y << 15 & 0xefc60000
	return y ^ y>>18
}

// below is random.choice among n items, 0 < n < 2^31: it draws bits until they form a number below n.
func (t *twister) below(n int) int {
	shift := 32 - bits.Len(uint(n))
	for {
		if r := int(t.uint32() >> shift); r < n {
			return r
		}
	}
}
