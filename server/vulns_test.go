package server

import (
	"context"
	"fmt"
	"testing"

	"github.com/assay-registry/assay/policy/access"
	"github.com/assay-registry/assay/policy/census"
	"github.com/assay-registry/assay/policy/contents"
	"github.com/assay-registry/assay/server/auth"
	"github.com/assay-registry/assay/store"
)

// asked answers with what it was asked.
type shownFindings struct{ last string }

func (a *shownFindings) Count(_ context.Context, p access.Principal, q census.Query) (*census.Report, error) {
	a.last = fmt.Sprintf("%s %s %s %d", p.Name, q.Repositories, q.After, q.Limit)
	return &census.Report{Repositories: []census.Row{}}, nil
}

func (a *shownFindings) Vulnerabilities(_ context.Context, _ access.Principal, r contents.Ref, platform, after string, limit int, locations bool) (*contents.Vulnerabilities, error) {
	a.last = fmt.Sprintf("%s %s %s %s %d %t", r.Repository, r.Reference, platform, after, limit, locations)
	return &contents.Vulnerabilities{}, nil
}

func (a *shownFindings) AffectedImages(_ context.Context, _ access.Principal, id string, repositories store.Globs, after string, limit int) (*contents.AffectedImages, error) {
	a.last = fmt.Sprintf("%s %s %s %d", id, repositories, after, limit)
	return &contents.AffectedImages{}, nil
}

// What is not understood is an error and no wider question.
func TestQuestionsAboutVulnerabilitiesAndNumbers(t *testing.T) {
	a := &shownFindings{}
	h := newHouse(t, func(o *Options, _ *auth.Options) { o.Report, o.Findings = a, a })
	for _, tc := range []struct {
		target, asked string
		status        int
	}{
		{"/api/v1/report", "root []  0", 200},
		{"/api/v1/report?repository=acme/**&repository=free/x&after=acme/app&limit=7", "root [acme/** free/x] acme/app 7", 200},
		{"/api/v1/report?limit=0", "", 400},
		{"/api/v1/report?limit=1001", "", 400},
		{"/api/v1/report?limit=5&limit=6", "", 400},
		{"/api/v1/report?repo=acme/**", "", 400},
		{"/api/v1/report?repository=acme//x", "", 400},
		{"/api/v1/vulns?repository=acme/app&reference=v1&platform=linux/arm64&after=3.100&limit=5&locations=true", "acme/app v1 linux/arm64 3.100 5 true", 200},
		{"/api/v1/vulns?repository=acme/app", "", 400},
		{"/api/v1/vulns", "", 400},
		{"/api/v1/vulns?repository=acme/app&reference=v1&locations=yes", "", 400},
		{"/api/v1/vulns?cve=CVE-2021-44228&repository=acme/**&limit=5", "CVE-2021-44228 [acme/**]  5", 200},
		{"/api/v1/vulns?cve=CVE-2021-44228&reference=v1", "", 400},
		{"/api/v1/vulns?cve=a&cve=b", "", 400},
	} {
		a.last = ""
		w := h.ask("root", "GET", tc.target, nil)
		if w.Code != tc.status || a.last != tc.asked {
			t.Errorf("%s: %d %q, want %d %q", tc.target, w.Code, a.last, tc.status, tc.asked)
		}
	}
}
