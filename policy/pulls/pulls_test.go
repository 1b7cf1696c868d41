package pulls

import (
	"fmt"
	"testing"
	"time"

	"github.com/assay-registry/assay/store"
)

// However many are pulled, the table keeps its size, and what it had no room for is told.
func TestTheTableIsBounded(t *testing.T) {
	p := New(nil, time.Now)
	const n = 9000
	for j := range n {
		p.Count("acme/app", store.Digest(fmt.Sprintf("sha256:%064x", j)))
	}
	if want := uint64(n - shards*kept); p.Lost() < want {
		t.Errorf("%d lost, of at least %d", p.Lost(), want)
	}
	select {
	case <-p.Wake():
	default:
		t.Error("nobody is told that there is little room")
	}
	if allocated := testing.AllocsPerRun(1000, func() { p.Count("acme/app", "sha256:00") }); allocated != 0 {
		t.Errorf("%v allocations for a pull", allocated)
	}
	if all := p.take(); len(all) > shards*kept || len(p.take()) != 0 {
		t.Errorf("%d taken, and not the last", len(all))
	}
}

// The numbers of eight days, as they are stored; a clock that was set back counts on with the day that it knew.
func TestDaysRoll(t *testing.T) {
	day := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	var x times
	x.roll(day)
	x.last, x.days[0] = day, 3
	x.roll(day.Add(48 * time.Hour))
	x.days[0] = 2
	x.roll(day)
	if y := read(x.bytes()); y != x || y.days != [days]uint64{2, 0, 3} || !y.last.Equal(day) {
		t.Errorf("%+v, stored %+v", x, y)
	}
	if x.roll(day.Add(30 * 24 * time.Hour)); x.days != [days]uint64{} {
		t.Errorf("after a month: %+v", x)
	}
	for _, damaged := range [][]byte{nil, {9}, {version, 1}, x.bytes()[:4]} {
		if read(damaged) != (times{}) {
			t.Errorf("%x is read", damaged)
		}
	}
}
