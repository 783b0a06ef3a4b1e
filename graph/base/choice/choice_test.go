package choice

import "testing"

func TestOf(t *testing.T) {
	from := []string{"red", "green"}
	if got, err := Of("colour", "green", from); got != "green" || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
	for _, s := range []string{"", "Green", "blue"} {
		if got, err := Of("colour", s, from); got != "" || err == nil || err.Error() != `colour "`+s+`": want one of red, green` {
			t.Errorf("%q: got %q, %v", s, got, err)
		}
	}
}
