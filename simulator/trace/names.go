package trace

import (
	"cmp"
	"hash/maphash"
	"math/bits"
)

// names gives functions their numbers, in the order in which they first appear,
// and keeps their text together: tens of bytes a function beside the text.
type names struct {
	functions []Function
	slots     []int32 // function + 1; 0: free
	seed      maphash.Seed
	most      int       // functions
	last      [2]string // tenant and app of the function added last, often the same
}

func newNames(o Options) *names {
	return &names{slots: make([]int32, 64), seed: maphash.MakeSeed(), most: cmp.Or(o.MaxFunctions, maxFunctions)}
}

func (n *names) hash(tenant, app, name []byte) uint64 {
	return maphash.Bytes(n.seed, name) ^ bits.RotateLeft64(maphash.Bytes(n.seed, app), 21) ^ bits.RotateLeft64(maphash.Bytes(n.seed, tenant), 42)
}

// each calls yield with all functions of this name, which differ in their
// triggers, until it returns false.
func (n *names) each(tenant, app, name []byte, yield func(number int32) bool) {
	mask := uint64(len(n.slots) - 1)
	for i := n.hash(tenant, app, name) & mask; n.slots[i] != 0; i = (i + 1) & mask {
		number := n.slots[i] - 1
		f := &n.functions[number]
		if f.Name == string(name) && f.App == string(app) && f.Tenant == string(tenant) && !yield(number) {
			return
		}
	}
}

// number returns the number of a function, which it adds if it is new.
func (n *names) number(tenant, app, name, trigger []byte) (number int32, added bool) {
	number = -1
	n.each(tenant, app, name, func(have int32) bool {
		if n.functions[have].Trigger == string(trigger) {
			number = have
		}
		return number < 0
	})
	if number >= 0 {
		return number, false
	}
	if 2*(len(n.functions)+1) > len(n.slots) {
		n.grow()
	}
	number = int32(len(n.functions))
	n.functions = append(n.functions, n.keep(tenant, app, name, trigger))
	n.place(number)
	return number, true
}

// keep copies the text, equal parts once.
func (n *names) keep(tenant, app, name, trigger []byte) Function {
	f := Function{Name: string(name), Trigger: knownTrigger(trigger)}
	f.App = reuse(app, f.Name, n.last[1], n.last[0])
	f.Tenant = reuse(tenant, f.App, n.last[0])
	n.last = [2]string{f.Tenant, f.App}
	return f
}

func reuse(text []byte, have ...string) string {
	for _, h := range have {
		if h == string(text) {
			return h
		}
	}
	return string(text)
}

// knownTrigger returns the words of the Azure data set without a copy.
func knownTrigger(b []byte) string {
	for _, word := range [...]string{"", "http", "timer", "event", "queue", "storage", "orchestration", "others"} {
		if word == string(b) {
			return word
		}
	}
	return string(b)
}

func (n *names) place(number int32) {
	f := &n.functions[number]
	mask := uint64(len(n.slots) - 1)
	i := n.hash([]byte(f.Tenant), []byte(f.App), []byte(f.Name)) & mask
	for n.slots[i] != 0 {
		i = (i + 1) & mask
	}
	n.slots[i] = number + 1
}

func (n *names) grow() {
	n.slots = make([]int32, 2*len(n.slots))
	for number := range n.functions {
		n.place(int32(number))
	}
}
