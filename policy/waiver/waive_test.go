package waiver_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/assay-registry/assay/policy/contract"
	"github.com/assay-registry/assay/policy/waiver"
	"github.com/assay-registry/assay/store"
)

var epoch = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

func document() *waiver.Waiver {
	return &waiver.Waiver{ID: "W-1", Codes: []string{"vuln.threshold"}, Match: waiver.Match{Repositories: store.Globs{"acme/app"}}, Reason: "fix on Friday", Approver: "sec",
		NotBefore: epoch, Expires: epoch.Add(time.Hour)}
}

func TestParseReadsWhatDocumentWrites(t *testing.T) {
	w, err := waiver.Parse(document().Document())
	if err != nil || string(w.Document()) != string(document().Document()) {
		t.Fatalf("%v, %v", w, err)
	}
	d, manifest, blobs := w.Carrier()
	if d.Digest != store.DigestOf("sha256", manifest) || !strings.Contains(string(manifest), string(store.DigestOf("sha256", blobs[1]))) || w.About(d.Digest) != w {
		t.Errorf("the carrier %v of %s", d, manifest)
	}
	other := store.DigestOf("sha256", []byte("an image"))
	if n := w.About(other); !n.Covers("acme/app", []store.Digest{other}) || n.Covers("acme/app", []store.Digest{d.Digest}) || n.Covers("acme/other", []store.Digest{other}) {
		t.Errorf("a statement about an image is about that one: %+v", n.Match)
	}
}

func TestParseRefusesWhatItDoesNotUnderstand(t *testing.T) {
	text := string(document().Document())
	for _, c := range []struct{ from, to, says string }{
		{`"match":{`, `"match":{"digest":["sha256:00"],`, "no waiver has"},
		{`"match":{`, `"match":{"Digests":[],`, ""},
		{`"match":{`, `"match":{"repositories":[],`, "cannot be read"},
		{`"vuln.threshold"`, `"state.revoked"`, "cannot be waived"},
		{`"vuln.threshold"`, `"policy.error"`, "cannot be waived"},
		{`"vuln.threshold"`, `"*","vuln.threshold"`, "stands alone"},
		{`"reason":"fix on Friday"`, `"reason":"` + strings.Repeat("x", 301) + `"`, "too wordy"},
		{`"W-1"`, `"-W"`, "begins with a letter or digit"},
		{`"acme/app"`, `"acme/[app]"`, ""},
		{text, strings.Repeat(" ", waiver.MaxBytes+1), "at most 64 KiB"},
	} {
		if _, err := waiver.Parse([]byte(strings.Replace(text, c.from, c.to, 1))); store.CodeOf(err) != store.CodeInvalid || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%.60s: %v, want %q", c.to, err, c.says)
		}
	}
}

func TestWaiveTakesOutWhatOneWaiverCovers(t *testing.T) {
	in := func(edit func(w *contract.WaiverInput)) *contract.Input {
		w := contract.WaiverInput{ID: "W-1", Codes: []string{"vuln.threshold"}, Approver: "sec", NotBefore: epoch, Expires: epoch.Add(time.Hour), Verified: true}
		edit(&w)
		return &contract.Input{Request: contract.RequestInput{Time: epoch.Add(time.Minute)}, Waivers: []contract.WaiverInput{w}}
	}
	deny := []contract.Reason{{Code: "vuln.threshold", Policy: "base"}, {Code: "signature.missing", Policy: "base"}, {Code: "policy.error", Policy: "base"}}
	for _, c := range []struct {
		name string
		edit func(w *contract.WaiverInput)
		left []string
	}{
		{"its code", func(*contract.WaiverInput) {}, []string{"signature.missing", "policy.error"}},
		{"all codes but no answer", func(w *contract.WaiverInput) { w.Codes = []string{waiver.AllCodes} }, []string{"policy.error"}},
		{"all codes for too long", func(w *contract.WaiverInput) {
			w.Codes, w.Expires = []string{waiver.AllCodes}, epoch.Add(waiver.MaxBreakGlass+1)
		}, []string{"vuln.threshold", "signature.missing", "policy.error"}},
		{"another policy", func(w *contract.WaiverInput) { w.Policies = []string{"other"} }, []string{"vuln.threshold", "signature.missing", "policy.error"}},
		{"unverified", func(w *contract.WaiverInput) { w.Verified = false }, []string{"vuln.threshold", "signature.missing", "policy.error"}},
		{"ended", func(w *contract.WaiverInput) { w.Expires = epoch.Add(time.Minute) }, []string{"vuln.threshold", "signature.missing", "policy.error"}},
		{"not begun", func(w *contract.WaiverInput) { w.NotBefore = epoch.Add(2 * time.Minute) }, []string{"vuln.threshold", "signature.missing", "policy.error"}},
	} {
		d := &contract.Decision{Deny: slices.Clone(deny)}
		waiver.Waive(d, in(c.edit))
		var left []string
		for _, r := range d.Deny {
			left = append(left, r.Code)
		}
		if !slices.Equal(left, c.left) || len(d.Waived) != len(deny)-len(left) {
			t.Errorf("%s: left %v, waived %+v", c.name, left, d.Waived)
		}
		if glass := len(d.WaiverIDs(true)) > 0; glass != (len(d.Warn) > 0) || len(d.Waived) > 0 && !d.ValidUntil.Equal(epoch.Add(time.Hour)) {
			t.Errorf("%s: warns %+v, until %v", c.name, d.Warn, d.ValidUntil)
		}
	}
}
