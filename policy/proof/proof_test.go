package proof

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/assay-registry/assay/policy/trust"
	"github.com/assay-registry/assay/store"
	"github.com/assay-registry/assay/store/mem"
	"github.com/assay-registry/assay/verify"
)

var epoch = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

func digest(n int) store.Digest { return store.DigestOf("sha256", fmt.Append(nil, n)) }

// signed is a signature that key made about some bytes, in layer n.
func signed(n int, key, what string) verify.Fact {
	return verify.Fact{Layer: digest(n), Verified: true, Kind: verify.KindSignature, Authority: "release", KeyID: key, Signed: store.DigestOf("sha256", []byte(what))}
}

func refused(n int, code verify.Code) verify.Fact {
	return verify.Fact{Layer: digest(n), Kind: verify.KindSignature, Code: code}
}

func under(facts ...verify.Fact) map[string]Judged {
	return map[string]Judged{"release": {Facts: facts}}
}

func authority(name string) *trust.Authority {
	return &trust.Authority{Authority: verify.Authority{Name: name, Kind: verify.KindKey}}
}

// verifier says of evidence what each authority alone makes of it, and counts how often it is asked.
type verifier struct {
	asked int
	err   error
}

func (v *verifier) Check(verify.Authority) error { return nil }

func (v *verifier) Verify(_ context.Context, _ verify.Subject, es []verify.Evidence, as []verify.Authority) (*verify.Report, error) {
	v.asked++
	f := verify.Fact{Layer: es[0].Manifest.Digest, Code: verify.CodeNoAuthority}
	if len(as) == 1 {
		f = verify.Fact{Layer: es[0].Manifest.Digest, Verified: true, Authority: as[0].Name}
	}
	return &verify.Report{Facts: []verify.Fact{f}}, v.err
}

func TestEvidenceIsVerifiedOnceUnderEachRevisionOfAnAuthority(t *testing.T) {
	v, loaded := &verifier{}, 0
	load := func() (*verify.Evidence, error) {
		loaded++
		return &verify.Evidence{Manifest: store.Descriptor{Digest: digest(1)}}, nil
	}
	k := &Known{}
	check := func(what string, covering []*trust.Authority, wantChanged bool, asked, loads, proven int) {
		t.Helper()
		before, read := v.asked, loaded
		changed, err := k.Verify(t.Context(), v, covering, verify.Subject{}, load)
		n := 0
		for _, j := range k.Under {
			for _, f := range j.Facts {
				if f.Verified {
					n++
				}
			}
		}
		if err != nil || changed != wantChanged || v.asked-before != asked || loaded-read != loads || n != proven {
			t.Errorf("%s: %v, %v; asked %d times, loaded %d, %d proven", what, changed, err, v.asked-before, loaded-read, n)
		}
	}
	check("nobody is trusted", nil, true, 1, 1, 0)
	check("nor now", nil, false, 0, 0, 0)
	two := []*trust.Authority{authority("release"), authority("second")}
	check("two are", append(two, &trust.Authority{Authority: verify.Authority{Name: "tuf", Kind: verify.KindTUF}}), true, 2, 1, 2)
	check("as before", two, false, 0, 0, 2)
	k.Under["release"] = Judged{Revision: "of before"}
	check("one is another", two, true, 1, 1, 2)
	check("one is gone", two[:1], true, 0, 0, 1)
	k.Registry = true
	check("the registry's own", nil, false, 0, 0, 1)
	v.err, k = errors.New("no answer"), &Known{}
	if _, err := k.Verify(t.Context(), v, two, verify.Subject{}, load); !errors.Is(err, v.err) {
		t.Error(err)
	}
}

func TestOfALayerWhatIsProvenIsToldOrTheRefusalThatSaysMost(t *testing.T) {
	k := &Known{Under: map[string]Judged{
		"a": {Facts: []verify.Fact{refused(1, verify.CodeUntrustedKey), refused(2, verify.CodeUntrustedKey)}},
		"b": {Facts: []verify.Fact{signed(1, "k", "x"), refused(2, verify.CodeIdentity)}},
	}}
	all := k.Told([]*trust.Authority{authority("a"), authority("b")}, epoch)
	if len(all) != 2 || !all[0].Verified || all[1].Code != verify.CodeIdentity {
		t.Errorf("%+v", all)
	}
}

func TestCopiesOfAStatementCountOnceAndTheOneThatLastsLongest(t *testing.T) {
	short, long := signed(1, "k", "x"), signed(2, "k", "x")
	short.ValidUntil, long.ValidUntil = epoch.Add(time.Hour), epoch.Add(2*time.Hour)
	all := map[store.Digest]*Known{
		digest(1): {Under: under(short), At: epoch}, digest(2): {Under: under(long), At: epoch.Add(time.Minute)},
		digest(3): {Under: under(signed(3, "other", "x")), At: epoch.Add(2 * time.Minute)},
	}
	c := Count(all, nil, epoch)
	if len(c.Facts) != 2 || c.Facts[0].KeyID != "other" || !c.Facts[1].ValidUntil.Equal(long.ValidUntil) || !c.Next.Equal(short.ValidUntil) {
		t.Errorf("%+v until %v", c.Facts, c.Next)
	}
	if c = Count(all, nil, short.ValidUntil); len(c.Facts) != 3 || c.Facts[2].Verified || !c.Next.Equal(long.ValidUntil) {
		t.Errorf("then %+v until %v", c.Facts, c.Next)
	}
	if empty := Count(nil, nil, epoch); empty.Revision() != "" || c.Revision() == "" || c.And(empty).Revision() != c.Revision() {
		t.Error("the revision names the facts, and nothing where there are none")
	}
}

func TestOfStatementsTheNewestCountAndOfWhatIsRefusedAll(t *testing.T) {
	all := map[store.Digest]*Known{}
	for n := range 2 * maxVerified {
		all[digest(n)] = &Known{Under: under(signed(n, "k", fmt.Sprint(n)), refused(-n-1, verify.CodeUntrustedKey)), At: epoch.Add(time.Duration(n) * time.Second)}
	}
	c, proven := Count(all, nil, epoch), 0
	for _, f := range c.Facts {
		if f.Verified {
			proven++
		}
	}
	if proven != maxVerified || len(c.Facts) != 3*maxVerified || c.Facts[0].Signed != signed(0, "", fmt.Sprint(2*maxVerified-1)).Signed {
		t.Errorf("%d proven of %d", proven, len(c.Facts))
	}
}

// An old attestation with a new timestamp is no newer.
func TestEveryCopySaysWhenTheStatementWasFirstSeen(t *testing.T) {
	old, stamped := signed(1, "k", "x"), signed(2, "k", "x")
	for i, f := range []*verify.Fact{&old, &stamped} {
		f.Kind, f.SignedAt = verify.KindAttestation, epoch.Add(time.Duration(i)*time.Hour)
	}
	stamped.Logs = []verify.LogEntry{{Log: "another"}} // which makes it another statement
	c := Count(map[store.Digest]*Known{digest(1): {Under: under(old)}, digest(2): {Under: under(stamped)}}, nil, epoch)
	if len(c.Facts) != 2 || !c.Facts[0].SignedAt.Equal(epoch) || !c.Facts[1].SignedAt.Equal(epoch) {
		t.Errorf("%+v", c.Facts)
	}
}

func TestWhatEvidenceAddsIsWhatNoOtherProvesForAsLong(t *testing.T) {
	forever, hour := signed(1, "k", "x"), signed(2, "k", "x")
	hour.ValidUntil = epoch.Add(time.Hour)
	adds := func(fresh, old verify.Fact) int {
		s := (&Known{Under: under(fresh, refused(9, verify.CodeUntrustedKey))}).Statements()
		s.Without((&Known{Under: under(old)}).Statements())
		return len(s)
	}
	if adds(hour, forever) != 0 || adds(forever, hour) != 1 || adds(forever, signed(1, "k", "y")) != 1 {
		t.Error("a copy adds nothing, unless it lasts longer")
	}
	elsewhere := (&Known{Elsewhere: map[store.Name]map[string]Judged{"acme/app": under(forever)}}).Statements()
	elsewhere.Without((&Known{Under: under(forever)}).Statements())
	if len(elsewhere) != 1 {
		t.Error("what counts in another repository is something else")
	}
}

// Of what adds nothing, the number is known without reading it.
func TestWhatAddsNothingIsCounted(t *testing.T) {
	local, err := store.NewLocal(t.Context(), store.LocalOptions{Blobs: mem.NewBlobs(rand.Reader), KV: mem.NewKV(), Clock: func() time.Time { return epoch }, Rand: rand.Reader, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	idle, proves := &Known{Under: under(refused(1, verify.CodeUntrustedKey))}, &Known{Under: under(signed(1, "k", "x"))}
	again := &Known{Under: proves.Under, Again: true}
	const app = store.Name("acme/app")
	if err := local.Update(t.Context(), func(tx *store.Txn) error {
		for n, step := range []struct {
			do   func()
			want int
		}{
			{func() { Put(tx, app, digest(0), digest(1), idle, false) }, 1},
			{func() { Put(tx, app, digest(0), digest(2), again, false) }, 2},
			{func() { Put(tx, app, digest(0), digest(3), proves, false) }, 2},
			{func() { Put(tx, app, digest(0), digest(1), proves, true) }, 1},
			{func() { Drop(tx, app, digest(0), digest(3)) }, 1},
			{func() { Drop(tx, app, digest(0), digest(2)); Drop(tx, app, digest(0), digest(2)) }, 0},
		} {
			if step.do(); Unproven(tx, app, digest(0)) != step.want {
				t.Errorf("after %d: %d, want %d", n, Unproven(tx, app, digest(0)), step.want)
			}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}
