package doctor

import (
	"strings"
	"testing"
	"time"

	"github.com/assay-registry/assay/cmd/assay/config"
	"github.com/assay-registry/assay/cmd/assay/place"
	"github.com/assay-registry/assay/policy/waiver"
	"github.com/assay-registry/assay/policy/waiverkeep"
	"github.com/assay-registry/assay/store"
)

// What lets everything through is what the doctor says first, for as long as it does.
func TestTheDoctorTellsOfBreakGlassFirst(t *testing.T) {
	p := newPatient(t)
	began := p.now
	tell := func(list []waiverkeep.View) {
		t.Helper()
		if err := place.KeepState(p.dir, place.StateGlass, list); err != nil {
			t.Fatal(err)
		}
	}
	tell([]waiverkeep.View{{Waiver: waiver.Waiver{ID: "W-1", Codes: []string{waiver.AllCodes}, Match: waiver.Match{Repositories: store.Globs{"acme/**"}}, Reason: "production\x1b is down", Approver: "alice",
		NotBefore: began.Add(time.Hour), Expires: began.Add(5 * time.Hour)}, State: waiverkeep.Early, Until: began.Add(4 * time.Hour)}})
	cfg := config.Default()
	cfg.Data = p.dir
	for _, step := range []struct {
		after time.Duration
		want  string
	}{
		{0, "W-1 waives every code in acme/** from "}, {2 * time.Hour, "for 2h0m0s more"}, {4 * time.Hour, ""},
	} {
		p.now = began.Add(step.after)
		f := examine(t.Context(), p.app, cfg)[0]
		if (f.Name == "BREAK GLASS") != (step.want != "") || step.want != "" && (f.Status != warning || !strings.Contains(f.Detail, step.want) || strings.Contains(f.Detail, "\x1b") || !strings.Contains(f.Detail, "alice")) {
			t.Errorf("after %s: %+v", step.after, f)
		}
	}
	tell(nil)
	if found := p.found(glassBroken, cfg); len(found) != 0 {
		t.Errorf("revoked: %v", found)
	}
	p.write(place.StateGlass, "{")
	if found := p.found(glassBroken, cfg); len(found) != 1 || found[0].Status != broken {
		t.Errorf("damaged: %v", found)
	}
}
