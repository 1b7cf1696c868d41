package server

import (
	"bytes"
	"context"
	"io"
	"strings"
	"testing"

	"github.com/assay-registry/assay/policy/access"
	"github.com/assay-registry/assay/policy/trust"
	"github.com/assay-registry/assay/server/auth"
	"github.com/assay-registry/assay/store"
)

// smallTrust follows one repository, acme-tuf, whose archive is the word "fresh".
type smallTrust struct {
	root     int64
	imported int // bytes
}

func (s *smallTrust) TrustStatus(context.Context, access.Principal) ([]TrustStatus, error) {
	if s.root == 0 {
		return nil, nil
	}
	return []TrustStatus{{TUFStatus: trust.TUFStatus{Authority: "acme-tuf", Source: "dir:/srv/tuf", Root: s.root, Expires: testTime}, AttemptedAt: testTime}}, nil
}

func (s *smallTrust) UpdateTrust(ctx context.Context, p access.Principal, authority string) ([]TrustStatus, error) {
	if authority != "" && authority != "acme-tuf" {
		return nil, store.Errorf(store.CodeNotFound, "there is no authority %q of kind tuf", authority)
	}
	s.root++
	return s.TrustStatus(ctx, p)
}

func (s *smallTrust) ImportTrust(ctx context.Context, p access.Principal, authority string, archive io.Reader) (*TrustStatus, error) {
	b, err := io.ReadAll(archive)
	s.imported = len(b)
	if err != nil || string(b) != "fresh" {
		return nil, store.Errorf(store.CodeInvalid, "the metadata is older than what was seen")
	}
	list, err := s.UpdateTrust(ctx, p, authority)
	if err != nil {
		return nil, err
	}
	return &list[0], nil
}

func TestTrust(t *testing.T) {
	trust := &smallTrust{}
	h := newHouse(t, func(o *Options, _ *auth.Options) { o.Trust = trust })
	const tar = "Content-Type: application/x-tar"
	status := `"authority":"acme-tuf","source":"dir:/srv/tuf","root":1`
	for _, tc := range []struct {
		status             int
		user, method, path string
		body, typ, want    string
	}{
		{200, "root", "GET", "/api/v1/trust/status", "", jsonType, `{"tuf":[]}`},
		{403, "dev", "GET", "/api/v1/trust/status", "", jsonType, "role admin on every repository"},
		{401, "", "GET", "/api/v1/trust/status", "", jsonType, ""},
		{405, "root", "POST", "/api/v1/trust/status", "{}", jsonType, ""},
		{200, "root", "POST", "/api/v1/trust/update", "{}", jsonType, status},
		{404, "root", "POST", "/api/v1/trust/update", `{"authority":"other"}`, jsonType, ""},
		{400, "root", "POST", "/api/v1/trust/update", `{"authority":"acme-tuf","force":true}`, jsonType, ""},
		{415, "root", "POST", "/api/v1/trust/update", `{}`, "Content-Type: text/plain", ""},
		{403, "dev", "POST", "/api/v1/trust/update", "{}", jsonType, ""},
		{401, "", "POST", "/api/v1/trust/update", "{}", jsonType, ""},
		{403, "dev", "POST", "/api/v1/trust/import/acme-tuf", "fresh", tar, ""},
		{401, "", "POST", "/api/v1/trust/import/acme-tuf", "fresh", tar, ""},
		{415, "root", "POST", "/api/v1/trust/import/acme-tuf", "fresh", jsonType, "application/x-tar"},
		{404, "root", "POST", "/api/v1/trust/import/other", "fresh", tar, ""},
		{400, "root", "POST", "/api/v1/trust/import/acme-tuf", "stale", tar, "older than what was seen"},
		{200, "root", "POST", "/api/v1/trust/import/acme-tuf", "fresh", tar, `"root":2`},
		{404, "root", "POST", "/api/v1/trust/import/..", "fresh", tar, ""},
		{404, "root", "POST", "/api/v1/trust/export/acme-tuf", "fresh", tar, ""},
	} {
		var body []byte
		if tc.body != "" {
			body = []byte(tc.body)
		}
		w := h.want(tc.status, tc.user, tc.method, tc.path, body, tc.typ)
		if !strings.Contains(w.Body.String(), tc.want) {
			t.Errorf("%s %s %s: %s", tc.user, tc.method, tc.path, w.Body)
		}
	}
	h.want(415, "root", "POST", "/api/v1/trust/import/acme-tuf", []byte("fresh"), tar, "Content-Encoding: gzip")
	h.want(403, "root", "POST", "/api/v1/trust/import/acme-tuf", []byte("fresh"), tar, "Sec-Fetch-Site: cross-site")
}

// An archive is read to its limit and no further, whatever reads it.
func TestD_ArchiveWithoutEnd(t *testing.T) {
	trust := &smallTrust{}
	h := newHouse(t, func(o *Options, _ *auth.Options) { o.Trust = trust })
	h.want(413, "root", "POST", "/api/v1/trust/import/acme-tuf", bytes.Repeat([]byte{0}, maxArchive+1<<20), "Content-Type: application/x-tar")
	if trust.imported != maxArchive+1 {
		t.Errorf("%d bytes were read", trust.imported)
	}
}

func TestTrustThatIsNotOffered(t *testing.T) {
	newHouse(t, nil).want(405, "root", "GET", "/api/v1/trust/status", nil)
}
