package doctor

import (
	"strings"
	"testing"

	"github.com/assay-registry/assay/cmd/assay/config"
	"github.com/assay-registry/assay/cmd/assay/place"
)

func TestTheDoctorKnowsWhatThereIsToDoAboutSBOMs(t *testing.T) {
	p := newPatient(t)
	cfg := &config.Config{Data: p.dir}
	if found := p.found(sbomsMade, cfg); len(found) != 0 {
		t.Errorf("before any server ran: %v", found)
	}
	for _, test := range []struct{ name, file, status, detail string }{
		{"idle", `{"waiting":0,"retrying":0,"reading":0,"failed":0,"at":"2026-11-20T12:00:00Z"}`, fine, "0 images wait, 0 SBOMs are to be read, since 2026-11-20T12:00:00Z"},
		{"a review", `{"waiting":8,"backfill":{"generator":"syft 2","seen":120,"queued":20}}`, fine, "8 images wait, 0 SBOMs are to be read; the review of older images for syft 2 saw 120 manifests and queued 20 images so far"},
		{"a review that ended", `{"backfill":{"generator":"syft 2","finished":"2026-11-20T12:00:00Z"}}`, fine, "the review of older images for syft 2 is finished"},
		{"another try", `{"waiting":3,"retrying":2,"reason":"it ran out of memory"}`, warning, "2 failed and are tried again (it ran out of memory)"},
		{"given up", `{"failed":1000,"more":true,"first":{"repository":"acme/app","digest":"sha256:00","what":"made","reason":"a \u001b[31mlayer"}}`, warning, `more than 1000 were given up, such as acme/app@sha256:00, not made: a \x1b[31mlayer (assay sbom status`},
		{"damaged", `{`, broken, "JSON"},
		{"large", strings.Repeat(" ", place.MaxSBOMState+1), broken, "too large"},
	} {
		p.write(place.StateSBOMs, test.file)
		found := p.found(sbomsMade, cfg)
		if len(found) != 1 || found[0].Status != test.status || !strings.Contains(found[0].Detail, test.detail) {
			t.Errorf("%s: %q lacks %q", test.name, found, test.detail)
		}
	}
}
