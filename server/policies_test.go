package server

import (
	"context"
	"strings"
	"testing"

	"github.com/assay-registry/assay/policy"
	"github.com/assay-registry/assay/policy/access"
	"github.com/assay-registry/assay/policy/replay"
	"github.com/assay-registry/assay/server/auth"
	"github.com/assay-registry/assay/store"
)

// smallPolicies has one policy in force, and stages what it is given.
type smallPolicies struct{ staged *Candidate }

func (s *smallPolicies) PolicyStatus(context.Context, access.Principal) (*PolicyStatus, error) {
	return &PolicyStatus{Set: "sha256:1", Policies: []PolicyEntry{{Name: "open", From: "builtin:open"}}}, nil
}

func (s *smallPolicies) ReplayPolicies(_ context.Context, _ access.Principal, c Candidate, o replay.Options) (*replay.Report, error) {
	if len(c.Policies) == 0 {
		return nil, store.Errorf(store.CodeInvalid, "the policies do not compile")
	}
	return &replay.Report{Candidate: c.Policies[0].Name, Manifests: o.Examples}, nil
}

func (s *smallPolicies) StagePolicies(_ context.Context, p access.Principal, c Candidate) (*policy.PolicySet, error) {
	s.staged = &c
	return &policy.PolicySet{Digest: "sha256:2", By: p.Name}, nil
}

func (s *smallPolicies) UnstagePolicies(context.Context, access.Principal) error {
	s.staged = nil
	return nil
}

func (s *smallPolicies) ActivatePolicies(_ context.Context, _ access.Principal, most int) (*Activation, error) {
	if most < 2 {
		return nil, store.Errorf(store.CodeConflict, "it would newly deny 2 of 3 manifests")
	}
	return &Activation{Set: policy.PolicySet{Revision: 1}, Report: &replay.Report{}}, nil
}

func (s *smallPolicies) RollBackPolicies(ctx context.Context, p access.Principal, source string, _ store.Digest) (*PolicyStatus, error) {
	if source == "oci:gone:v1" {
		return nil, store.Errorf(store.CodeNotFound, "no policies of it were ever in force")
	}
	return s.PolicyStatus(ctx, p)
}

func (s *smallPolicies) PolicyHistory(context.Context, access.Principal) ([]policy.PolicySet, error) {
	return []policy.PolicySet{{Revision: 1}}, nil
}

func TestPolicies(t *testing.T) {
	ps := &smallPolicies{}
	h := newHouse(t, func(o *Options, _ *auth.Options) { o.Policies = ps })
	const root = "/api/v1/policies"
	size := `{"policies":[{"name":"size","repositories":["**"],"mode":"enforce","rego":"builtin:open"}],"examples":3}`
	stage := strings.Replace(size, `,"examples":3`, "", 1)
	for _, tc := range []struct {
		status             int
		user, method, path string
		body, typ, want    string
	}{
		{200, "root", "GET", root, "", jsonType, `"from":"builtin:open"`},
		{403, "dev", "GET", root, "", jsonType, "role admin on every repository"},
		{200, "root", "GET", root + "/history", "", jsonType, `{"sets":[{"revision":1`},
		{200, "root", "POST", root + "/replay", size, jsonType, `{"report":{"candidate":"size"`},
		{400, "root", "POST", root + "/replay", `{"policies":[]}`, jsonType, "do not compile"},
		{400, "root", "POST", root + "/replay", `{"repositories":["["]}`, jsonType, ""},
		{400, "root", "POST", root + "/replay", `{"polices":[]}`, jsonType, "not known"},
		{415, "root", "POST", root + "/replay", size, "Content-Type: text/plain", ""},
		{403, "dev", "POST", root + "/replay", size, jsonType, "role admin on every repository"},
		{401, "", "POST", root + "/replay", size, jsonType, ""},
		{200, "root", "POST", root + "/staged", stage, jsonType, `"by":"root"`},
		{403, "dev", "DELETE", root + "/staged", "", jsonType, ""},
		{204, "root", "DELETE", root + "/staged", "", jsonType, ""},
		{409, "root", "POST", root + "/activate", `{"max_newly_denied":1}`, jsonType, "newly deny 2 of 3"},
		{400, "root", "POST", root + "/activate", `{"max_newly_denied":-1}`, jsonType, "number of manifests"},
		{200, "root", "POST", root + "/activate", `{"max_newly_denied":2}`, jsonType, `"revision":1`},
		{200, "root", "POST", root + "/rollback", `{}`, jsonType, `"set":"sha256:1"`},
		{400, "root", "POST", root + "/rollback", `{"source":"oci:a:v1"}`, jsonType, ""},
		{404, "root", "POST", root + "/rollback", `{"source":"oci:gone:v1","digest":"sha256:` + strings.Repeat("a", 64) + `"}`, jsonType, "ever in force"},
		{405, "root", "GET", root + "/activate", "", jsonType, ""},
	} {
		var body []byte
		if tc.body != "" {
			body = []byte(tc.body)
		}
		w := h.ask(tc.user, tc.method, tc.path, body, tc.typ)
		if w.Code != tc.status || !strings.Contains(w.Body.String(), tc.want) {
			t.Errorf("%s %s %s: %d %s, want %d %q", tc.user, tc.method, tc.path, w.Code, w.Body, tc.status, tc.want)
		}
	}
	if ps.staged != nil {
		t.Error("it is still staged")
	}
	newHouse(t, nil).want(405, "root", "GET", root, nil)
}
