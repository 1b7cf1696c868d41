package server

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/assay-registry/assay/policy"
	"github.com/assay-registry/assay/policy/access"
	"github.com/assay-registry/assay/policy/contract"
	"github.com/assay-registry/assay/policy/explain"
	"github.com/assay-registry/assay/policy/trust"
	"github.com/assay-registry/assay/server/auth"
	"github.com/assay-registry/assay/store"
	"github.com/assay-registry/assay/verify"
)

// smallAdmin is an administration without a gate behind it. Its one administrator is root.
type smallAdmin struct {
	authorities []verify.Authority
	revocations []trust.Revocation
	restored    []string
	distrusted  []trust.Distrust
}

func (a *smallAdmin) may(p access.Principal) error {
	if p.Name != "root" {
		return store.Errorf(store.CodeDenied, "this needs the role admin")
	}
	return nil
}

func (a *smallAdmin) Explain(_ context.Context, p access.Principal, repo store.Name, ref store.Reference) (*explain.Explanation, error) {
	if !p.Roles(repo).Has(access.RolePull) {
		return nil, store.Errorf(store.CodeNameUnknown, "there is no such repository")
	}
	return &explain.Explanation{Repository: repo, Reference: ref.String(), State: store.StateQuarantined, Reason: "no signature", Authorities: []string{}}, nil
}

func (a *smallAdmin) Decision(_ context.Context, p access.Principal, id string) (*explain.Record, error) {
	if id != "D-1" {
		return nil, store.Errorf(store.CodeNotFound, "there is no such decision")
	}
	return &explain.Record{ID: id, Result: &contract.Decision{Entry: contract.EntryAdmit}}, a.may(p)
}

func (a *smallAdmin) Tree(_ context.Context, p access.Principal, _ store.Name, ref store.Reference) (*explain.TreeNode, error) {
	return &explain.TreeNode{Digest: ref.Digest, Kind: store.KindImage}, a.may(p)
}

func (a *smallAdmin) Verify(_ context.Context, p access.Principal, repo store.Name, ref store.Reference) (*explain.VerifyReport, error) {
	return &explain.VerifyReport{Repository: repo, Digest: ref.Digest, Facts: []verify.Fact{}}, a.may(p)
}

func (a *smallAdmin) Authorities(_ context.Context, p access.Principal) ([]verify.Authority, error) {
	return a.authorities, a.may(p)
}

func (a *smallAdmin) AddAuthority(_ context.Context, p access.Principal, au verify.Authority) error {
	if err := a.may(p); err != nil {
		return err
	}
	a.authorities = append(a.authorities, au)
	return nil
}

func (a *smallAdmin) RemoveAuthority(_ context.Context, p access.Principal, name string) error {
	before := len(a.authorities)
	a.authorities = slices.DeleteFunc(a.authorities, func(au verify.Authority) bool { return au.Name == name })
	if len(a.authorities) == before {
		return store.Errorf(store.CodeNotFound, "there is no such authority")
	}
	return a.may(p)
}

func (a *smallAdmin) RevokeTrust(_ context.Context, p access.Principal, r trust.Distrust) (*trust.Distrust, error) {
	if r.Authority != "release" || r.Kind == trust.RevokedKey && r.Value != "sha256:k" {
		return nil, store.Errorf(store.CodeNotFound, "there is no such key")
	}
	if r.Kind != trust.RevokedKey && r.Kind != trust.RevokedSerial {
		return nil, store.Errorf(store.CodeInvalid, "what is revoked is a key or a serial")
	}
	r.By, r.At = p.Name, testTime
	if err := a.may(p); err != nil {
		return nil, err
	}
	a.distrusted = append(a.distrusted, r)
	return &r, nil
}

func (a *smallAdmin) RestoreTrust(_ context.Context, p access.Principal, r trust.Distrust) error {
	before := len(a.distrusted)
	if err := a.may(p); err != nil {
		return err
	}
	a.distrusted = slices.DeleteFunc(a.distrusted, func(x trust.Distrust) bool {
		return x.Authority == r.Authority && x.Kind == r.Kind && x.Value == r.Value
	})
	if len(a.distrusted) == before {
		return store.Errorf(store.CodeNotFound, "nothing of the kind is revoked")
	}
	return nil
}

func (a *smallAdmin) TrustRevocations(_ context.Context, p access.Principal) ([]trust.Distrust, error) {
	return a.distrusted, a.may(p)
}

func (a *smallAdmin) Revoke(_ context.Context, p access.Principal, r trust.Revocation) (*trust.Revocation, error) {
	r.ID, r.By, r.At = "R-1", p.Name, testTime
	a.revocations = append(a.revocations, r)
	return &r, a.may(p)
}

func (a *smallAdmin) Lift(_ context.Context, p access.Principal, id string) error {
	a.revocations = slices.DeleteFunc(a.revocations, func(r trust.Revocation) bool { return r.ID == id })
	return a.may(p)
}

func (a *smallAdmin) Revocations(_ context.Context, p access.Principal) ([]trust.Revocation, error) {
	return a.revocations, a.may(p)
}

func (a *smallAdmin) Restore(_ context.Context, p access.Principal, repo store.Name, d store.Digest) error {
	a.restored = append(a.restored, string(repo)+"@"+string(d))
	return a.may(p)
}

func (a *smallAdmin) Audit(_ context.Context, p access.Principal, after string, limit int) (store.Page[policy.AuditRecord], error) {
	var records []policy.AuditRecord
	for i := range 5 {
		records = append(records, policy.AuditRecord{At: testTime, Actor: "dev", Action: "push", Reason: fmt.Sprint(i)})
	}
	return paged(records, func(r policy.AuditRecord) string { return r.Reason }, after, limit), a.may(p)
}

// memoryUsers keeps names.
type memoryUsers map[string][]access.Grant

func (u memoryUsers) Users(context.Context) ([]access.User, error) {
	var list []access.User
	for name, grants := range u {
		list = append(list, access.User{Name: name, Origin: access.OriginRuntime, Grants: grants})
	}
	return list, nil
}

func (u memoryUsers) CreateUser(_ context.Context, by, name, password string, grants []access.Grant) (string, error) {
	if _, ok := u[name]; ok || by != "root" {
		return "", store.Errorf(store.CodeConflict, "the user exists")
	}
	u[name] = grants
	if password == "" {
		return "made-once", nil
	}
	return "", nil
}

func (u memoryUsers) DeleteUser(_ context.Context, by, name string) error {
	if _, ok := u[name]; !ok || by != "root" {
		return store.Errorf(store.CodeNotFound, "there is no such user")
	}
	delete(u, name)
	return nil
}

func administered(t *testing.T) (*house, *smallAdmin, memoryUsers) {
	a, u := &smallAdmin{}, memoryUsers{}
	return newHouse(t, func(o *Options, _ *auth.Options) {
		o.Admin, o.Users = a, u
		o.Check = func(context.Context) ([]string, error) { return []string{"blob x is missing"}, nil }
	}), a, u
}

const jsonType = "Content-Type: application/json"

func TestAdministration(t *testing.T) {
	h, a, u := administered(t)
	authority := `{"name":"release","kind":"key","keys":[{"pem":"-----BEGIN PUBLIC KEY-----"}],"repositories":["acme/**"]}`
	for _, tc := range []struct {
		status             int
		user, method, path string
		body, want         string
	}{
		{200, "reader", "GET", "/api/v1/explain?repository=acme/app&reference=v1", "", `{"repository":"acme/app","reference":"v1","digest":"","kind":"","state":"quarantined","readable":false,"reason":"no signature","authorities":[],"evidence_kept":0}`},
		{404, "other", "GET", "/api/v1/explain?repository=acme/app&reference=v1", "", ""},
		{400, "reader", "GET", "/api/v1/explain?repository=acme/app", "", ""},
		{400, "reader", "GET", "/api/v1/explain?reference=v1", "", ""},
		{400, "reader", "GET", "/api/v1/explain?repository=acme/app&reference=v1&reference=v2", "", ""},
		{400, "reader", "GET", "/api/v1/explain?repository=../x&reference=v1", "", ""},
		{200, "root", "GET", "/api/v1/decisions/D-1", "", `"decision_id":"D-1"`},
		{404, "root", "GET", "/api/v1/decisions/D-2", "", ""},
		{200, "root", "GET", "/api/v1/tree?repository=acme/app&reference=" + sha256, "", `"kind":"image"`},
		{200, "root", "GET", "/api/v1/verify?repository=acme/app&reference=" + sha256, "", `"allowed":false`},
		{200, "root", "GET", "/api/v1/authorities", "", `{"authorities":[]}`},
		{201, "root", "POST", "/api/v1/authorities", authority, `{"name":"release"}`},
		{200, "root", "GET", "/api/v1/authorities", "", `"name":"release","kind":"key"`},
		{403, "dev", "GET", "/api/v1/authorities", "", ""},
		{403, "dev", "POST", "/api/v1/authorities", authority, ""},
		{201, "root", "POST", "/api/v1/authorities/release/revoke", `{"key_id":"sha256:k"}`, `{"authority":"release","kind":"key","value":"sha256:k","by":"root","at":"2026-03-01T12:00:00Z"}`},
		{201, "root", "POST", "/api/v1/authorities/release/revoke", `{"kind":"serial","value":"7f","reason":"lost"}`, `{"authority":"release","kind":"serial","value":"7f","reason":"lost","by":"root"`},
		{400, "root", "POST", "/api/v1/authorities/release/revoke", `{"kind":"serial","value":"7f","reason":"` + strings.Repeat("x", 301) + `"}`, ""},
		{400, "root", "POST", "/api/v1/authorities/release/revoke", `{"kind":"serial","value":"7f","key_id":"sha256:k"}`, "twice"},
		{403, "dev", "POST", "/api/v1/authorities/release/revoke", `{"kind":"serial","value":"8f"}`, ""},
		{200, "root", "GET", "/api/v1/trust/revocations", "", `{"revocations":[{"authority":"release","kind":"key"`},
		{403, "dev", "GET", "/api/v1/trust/revocations", "", ""},
		{403, "dev", "POST", "/api/v1/authorities/release/restore", `{"kind":"serial","value":"7f"}`, ""},
		{401, "", "POST", "/api/v1/authorities/release/restore", `{"kind":"serial","value":"7f"}`, ""},
		{204, "root", "POST", "/api/v1/authorities/release/restore", `{"kind":"serial","value":"7f"}`, ""},
		{404, "root", "POST", "/api/v1/authorities/release/restore", `{"kind":"serial","value":"7f"}`, ""},
		{204, "root", "POST", "/api/v1/authorities/release/restore", `{"key_id":"sha256:k"}`, ""},
		{405, "root", "GET", "/api/v1/authorities/release/restore", "", ""},
		{404, "root", "POST", "/api/v1/authorities/release/revoke", `{"key_id":"sha256:x"}`, ""},
		{204, "root", "DELETE", "/api/v1/authorities/release", "", ""},
		{404, "root", "DELETE", "/api/v1/authorities/release", "", ""},
		{201, "root", "POST", "/api/v1/revocations", `{"digest":"` + sha256 + `","repository":"**","reason":"malware"}`, `{"id":"R-1","digest":"` + sha256 + `","repository":"**","reason":"malware","by":"root","at":"2026-03-01T12:00:00Z"}`},
		{200, "root", "GET", "/api/v1/revocations", "", `{"revocations":[{"id":"R-1"`},
		{400, "root", "POST", "/api/v1/revocations", `{"digest":"sha256:x","repository":"**"}`, ""},
		{400, "root", "POST", "/api/v1/revocations", `{"digest":"` + sha256 + `","repository":"a**"}`, ""},
		{204, "root", "DELETE", "/api/v1/revocations/R-1", "", ""},
		{204, "root", "POST", "/api/v1/restore", `{"repository":"acme/app","digest":"` + sha256 + `"}`, ""},
		{400, "root", "POST", "/api/v1/restore", `{"repository":"acme/app","digest":"latest"}`, ""},
		{200, "root", "GET", "/api/v1/audit?n=2", "", `"next":"1"`},
		{200, "root", "GET", "/api/v1/audit?n=2&after=3", "", `"reason":"4"}]}`},
		{200, "root", "GET", "/api/v1/audit?n=0", "", `{"records":[]}`},
		{403, "dev", "GET", "/api/v1/audit", "", ""},
		{200, "root", "GET", "/api/v1/users", "", `{"users":[]}`},
		{201, "root", "POST", "/api/v1/users", `{"name":"robot","grants":[{"repositories":["acme/**"],"roles":["pull","sign"]}]}`, `{"name":"robot","secret":"made-once"}`},
		{409, "root", "POST", "/api/v1/users", `{"name":"robot"}`, ""},
		{400, "root", "POST", "/api/v1/users", `{"name":"x","grants":[{"repositories":["acme/**"],"roles":["root"]}]}`, ""},
		{400, "root", "POST", "/api/v1/users", `{"name":"x","grants":[{"repositories":["/"],"roles":["pull"]}]}`, ""},
		{201, "root", "POST", "/api/v1/users", `{"name":"person","password":"chosen by a person"}`, `{"name":"person"}`},
		{204, "root", "DELETE", "/api/v1/users/person", "", ""},
		{200, "root", "GET", "/api/v1/users", "", `{"users":[{"name":"robot","origin":"runtime","grants":[{"repositories":["acme/**"],"roles":["pull","sign"]}]}]}`},
		{404, "root", "DELETE", "/api/v1/users/person", "", ""},
		{403, "dev", "GET", "/api/v1/users", "", ""},
		{403, "dev", "POST", "/api/v1/users", `{"name":"evil"}`, ""},
		{401, "", "GET", "/api/v1/users", "", ""},
		{401, "", "POST", "/api/v1/authorities", authority, ""},
		{200, "root", "GET", "/api/v1/check", "", `{"problems":["blob x is missing"]}`},
		{403, "dev", "GET", "/api/v1/check", "", ""},
		{405, "root", "PUT", "/api/v1/users", "", ""},
	} {
		var body []byte
		if tc.body != "" {
			body = []byte(tc.body)
		}
		w := h.want(tc.status, tc.user, tc.method, tc.path, body, jsonType)
		if !strings.Contains(w.Body.String(), tc.want) {
			t.Errorf("%s %s: %s", tc.method, tc.path, w.Body)
		}
		if tc.status == 401 {
			wantHeader(t, w, "WWW-Authenticate", `Basic realm="assay", charset="UTF-8"`)
		}
		wantHeader(t, w, "Cache-Control", "private, no-store", "Access-Control-Allow-Origin", "")
	}
	if len(a.restored) != 1 || a.restored[0] != "acme/app@"+sha256 || len(u) != 1 || u["robot"][0].Who != "robot" {
		t.Errorf("%v %v", a.restored, u)
	}
	wantHeader(t, h.want(200, "root", "GET", "/api/v1/audit?n=2", nil), "Link", `</api/v1/audit?after=1&n=2>; rel="next"`)
}

func TestC17_OnlyKnownFields(t *testing.T) {
	h, a, u := administered(t)
	for path, bodies := range map[string][]string{
		"/api/v1/users": {`{"name":"x","is_admin":true}`, `{"name":"x","role":"admin"}`, `{"name":"x","origin":"htpasswd"}`, `{"name":"x","hash":"$2a$"}`,
			`{"name":"x","grants":[{"repositories":["a"],"roles":["pull"],"who":"root"}]}`, `{"name":"x"}{"name":"y"}`, `{"name":"x"} x`, `[]`, `"x"`, ``, `{`, `{"name":1}`},
		"/api/v1/authorities": {`{"name":"x","origin":"config"}`, `{"name":"x","keys":[{"id":"sha256:x"}]}`, `{"name":"x","keys":[{"revoked":true}]}`, `{"name":"..","kind":"key"}`,
			`{"name":"x","repositories":["a**"]}`, `{"name":"x","promote_from":["//"]}`, `{"name":"x","trusted":true}`},
		"/api/v1/revocations":                 {`{"digest":"` + sha256 + `","repository":"**","by":"root"}`, `{"id":"R-9","digest":"` + sha256 + `","repository":"**"}`, `{"digest":"` + sha256 + `","repository":"**","at":"2020-01-01T00:00:00Z"}`},
		"/api/v1/restore":                     {`{"repository":"a","digest":"` + sha256 + `","force":true}`},
		"/api/v1/authorities/release/revoke":  {`{"key_id":"sha256:k","all":true}`, `{"kind":"key","value":"sha256:k","by":"root"}`, `{"kind":"key","value":"sha256:k","at":"2020-01-01T00:00:00Z"}`, `{"kind":"key","value":"sha256:k","authority":"other"}`},
		"/api/v1/authorities/release/restore": {`{"kind":"key","value":"sha256:k","all":true}`},
	} {
		for _, body := range bodies {
			h.want(400, "root", "POST", path, []byte(body), jsonType)
		}
	}
	h.want(413, "root", "POST", "/api/v1/users", []byte(`{"name":"`+strings.Repeat("x", maxDocument)+`"}`), jsonType)
	if len(a.authorities)+len(a.revocations)+len(a.restored)+len(a.distrusted)+len(u) != 0 {
		t.Errorf("%+v %v", a, u)
	}
}

func TestC20_BrowsersOfOtherOrigins(t *testing.T) {
	h, _, u := administered(t)
	body := []byte(`{"name":"evil"}`)
	for _, contentType := range []string{"", "Content-Type: text/plain", "Content-Type: application/x-www-form-urlencoded", "Content-Type: multipart/form-data", "Content-Type: application/jsonp", "Content-Type: text/plain; application/json"} {
		headers := []string{"X: y"}
		if contentType != "" {
			headers = append(headers, contentType)
		}
		h.want(415, "root", "POST", "/api/v1/users", body, headers...)
	}
	for _, headers := range [][]string{
		{"Sec-Fetch-Site: cross-site"}, {"Origin: https://evil.example"}, {"Origin: null"}, {"Sec-Fetch-Site: same-site", "Origin: http://registry.test:5000"},
	} {
		h.want(403, "root", "POST", "/api/v1/users", body, append(headers, jsonType)...)
		h.want(403, "root", "DELETE", "/api/v1/users/x", nil, headers...)
		wantHeader(t, h.want(405, "root", "OPTIONS", "/api/v1/users", nil, append(headers, "Access-Control-Request-Method: POST")...),
			"Access-Control-Allow-Origin", "", "Access-Control-Allow-Credentials", "", "Access-Control-Allow-Methods", "")
	}
	if len(u) != 0 {
		t.Errorf("%v", u)
	}
	h.want(201, "root", "POST", "/api/v1/users", body, "Origin: http://registry.test:5000", "Content-Type: application/json; charset=utf-8")
}

// TestC20_EveryRouteWantsAType: nothing is changed by a request that a browser sends across origins unasked: a POST of one of three types or of none. The table is that of the routes, so that no
// route is forgotten; DELETE and PUT are asked for first, and nobody answers that another origin may.
func TestC20_EveryRouteWantsAType(t *testing.T) {
	h, _, _ := administered(t)
	changes := 0
	for e := range ofAdministration {
		path := Route{Endpoint: e, Arg: "x"}.Path()
		for method := range strings.SplitSeq(methods[e], ", ") {
			switch method {
			case "POST", "PUT":
				for _, header := range []string{"X: y", "Content-Type: text/plain", "Content-Type: application/x-www-form-urlencoded", "Content-Type: multipart/form-data; boundary=x", "Content-Type: text/plain; application/json"} {
					for _, body := range [][]byte{nil, []byte("{}")} {
						h.want(415, "root", method, path, body, header)
					}
				}
			case "DELETE":
				h.want(403, "root", method, path, nil, "Sec-Fetch-Site: cross-site")
				wantHeader(t, h.want(405, "root", "OPTIONS", path, nil, "Origin: https://evil.example", "Access-Control-Request-Method: DELETE"), "Access-Control-Allow-Origin", "", "Access-Control-Allow-Methods", "")
			default:
				continue
			}
			changes++
		}
	}
	if changes < 15 {
		t.Errorf("%d routes change something", changes)
	}
}

func TestAdministrationThatIsNotOffered(t *testing.T) {
	h := newHouse(t, func(o *Options, _ *auth.Options) {
		o.Check = func(context.Context) ([]string, error) { return nil, errors.New("the disk is on fire") }
	})
	h.want(405, "root", "GET", "/api/v1/users", nil)
	h.want(405, "root", "GET", "/api/v1/authorities", nil)
	h.want(500, "root", "GET", "/api/v1/check", nil)
	h.options.Check, h.options.Metrics = nil, nil
	var err error
	if h.handler, err = New(h.options); err != nil {
		t.Fatal(err)
	}
	h.want(405, "root", "GET", "/api/v1/check", nil)
}
