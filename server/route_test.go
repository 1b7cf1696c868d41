package server

import (
	"net/http"
	"strings"
	"testing"

	"github.com/assay-registry/assay/store"
)

const (
	hex64  = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
	sha256 = "sha256:" + hex64
	sha512 = "sha512:" + hex64 + hex64
	upload = "0123456789abcdef0123456789abcdef"
)

func TestParseRoute(t *testing.T) {
	for _, tc := range []struct {
		method, path string
		want         Route
	}{
		{"GET", "/v2/", Route{Endpoint: EndpointBase}},
		{"GET", "/v2/_catalog", Route{Endpoint: EndpointCatalog}},
		{"GET", "/v2/a/tags/list", Route{Endpoint: EndpointTags, Repo: "a"}},
		{"GET", "/v2/tags/list/tags/list", Route{Endpoint: EndpointTags, Repo: "tags/list"}},
		{"GET", "/v2/a/b-c/d__e/manifests/v1.0", Route{Endpoint: EndpointManifest, Repo: "a/b-c/d__e", Reference: store.Reference{Tag: "v1.0"}}},
		{"GET", "/v2/a/manifests/_", Route{Endpoint: EndpointManifest, Repo: "a", Reference: store.Reference{Tag: "_"}}},
		{"PUT", "/v2/a/manifests/" + sha512, Route{Endpoint: EndpointManifest, Repo: "a", Reference: store.Reference{Digest: sha512}}},
		{"HEAD", "/v2/a/manifests/manifests/manifests/latest", Route{Endpoint: EndpointManifest, Repo: "a/manifests/manifests", Reference: store.Reference{Tag: "latest"}}},
		{"DELETE", "/v2/blobs/uploads/blobs/" + sha256, Route{Endpoint: EndpointBlob, Repo: "blobs/uploads", Digest: sha256}},
		{"POST", "/v2/a/blobs/uploads/", Route{Endpoint: EndpointUploads, Repo: "a"}},
		{"POST", "/v2/blobs/uploads/blobs/uploads/", Route{Endpoint: EndpointUploads, Repo: "blobs/uploads"}},
		{"PATCH", "/v2/a/blobs/uploads/" + upload, Route{Endpoint: EndpointUpload, Repo: "a", Upload: upload}},
		{"GET", "/v2/a/referrers/" + sha256, Route{Endpoint: EndpointReferrers, Repo: "a", Digest: sha256}},
		{"GET", "/v2/" + strings.Repeat("a", 255) + "/tags/list", Route{Endpoint: EndpointTags, Repo: store.Name(strings.Repeat("a", 255))}},
		{"POST", "/auth/token", Route{Endpoint: EndpointToken}},
		{"GET", "/api/v1/decisions/D-1", Route{Endpoint: EndpointDecision, Arg: "D-1"}},
		{"DELETE", "/api/v1/authorities/release", Route{Endpoint: EndpointAuthority, Arg: "release"}},
		{"POST", "/api/v1/authorities/release/revoke", Route{Endpoint: EndpointRevokeTrust, Arg: "release"}},
		{"POST", "/api/v1/authorities/release/restore", Route{Endpoint: EndpointRestoreTrust, Arg: "release"}},
		{"GET", "/api/v1/trust/revocations", Route{Endpoint: EndpointTrustRevocations}},
		{"GET", "/api/v1/trust/status", Route{Endpoint: EndpointTrustStatus}},
		{"POST", "/api/v1/trust/update", Route{Endpoint: EndpointTrustUpdate}},
		{"POST", "/api/v1/trust/import/acme-tuf", Route{Endpoint: EndpointTrustImport, Arg: "acme-tuf"}},
		{"POST", "/api/v1/verify", Route{Endpoint: EndpointVerify}},
		{"GET", "/api/v1/schema/policy.input.v1", Route{Endpoint: EndpointSchema, Arg: "policy.input.v1"}},
		{"GET", "/api/v1/codes/signature.missing", Route{Endpoint: EndpointCode, Arg: "signature.missing"}},
		{"GET", "/api/v1/sbom/query", Route{Endpoint: EndpointSBOMQuery}},
		{"GET", "/api/v1/sbom/packages", Route{Endpoint: EndpointSBOMPackages}},
		{"GET", "/api/v1/sbom/why", Route{Endpoint: EndpointSBOMWhy}},
		{"GET", "/api/v1/sbom/diff", Route{Endpoint: EndpointSBOMDiff}},
		{"GET", "/api/v1/sbom/drift", Route{Endpoint: EndpointSBOMDrift}},
		{"GET", "/api/v1/sbom/history", Route{Endpoint: EndpointSBOMHistory}},
		{"GET", "/api/v1/sbom/status", Route{Endpoint: EndpointSBOMStatus}},
		{"POST", "/api/v1/sbom/retry", Route{Endpoint: EndpointSBOMRetry}},
		{"GET", "/api/v1/report", Route{Endpoint: EndpointReport}},
		{"GET", "/api/v1/vulns", Route{Endpoint: EndpointVulns}},
		{"GET", "/api/v1/vulndb", Route{Endpoint: EndpointVulnDBs}},
		{"PUT", "/api/v1/vulndb/main", Route{Endpoint: EndpointVulnDB, Arg: "main"}},
		{"POST", "/k8s/v1/validate/enforce", Route{Endpoint: EndpointK8sEnforce}},
		{"POST", "/k8s/v1/validate/warn", Route{Endpoint: EndpointK8sWarn}},
		{"POST", "/k8s/v1/validate/audit", Route{Endpoint: EndpointK8sAudit}},
		{"POST", "/k8s/v1/mutate", Route{Endpoint: EndpointK8sMutate}},
		{"POST", "/k8s/v1/validate/enforce/label/env/prod", Route{Endpoint: EndpointK8sEnforce, Arg: "label/env/prod"}},
		{"POST", "/k8s/v1/mutate/prefixed/acme.dev/tier/gold", Route{Endpoint: EndpointK8sMutate, Arg: "prefixed/acme.dev/tier/gold"}},
		{"POST", "/k8s/v1/gatekeeper/validate", Route{Endpoint: EndpointK8sProvide}},
		{"POST", "/k8s/v1/gatekeeper/mutate", Route{Endpoint: EndpointK8sProvidePin}},
		{"POST", "/k8s/v1/imagereview", Route{Endpoint: EndpointK8sImages}},
		{"DELETE", "/api/v1/users/ci@acme.com", Route{Endpoint: EndpointUser, Arg: "ci@acme.com"}},
	} {
		tc.want.Method = tc.method
		got, err := ParseRoute(tc.method, tc.path)
		if err != nil || got != tc.want {
			t.Errorf("%s %s: %+v, %v", tc.method, tc.path, got, err)
		}
		if p := got.Path(); p != tc.path {
			t.Errorf("%s: the inverse is %s", tc.path, p)
		}
	}
}

func TestD1_NoPathHasTwoSpellings(t *testing.T) {
	for path, want := range map[string]store.Code{
		"":                                    store.CodeNotFound,
		"*":                                   store.CodeNotFound,
		"/":                                   store.CodeNotFound,
		"/v2":                                 store.CodeNotFound,
		"//v2/":                               store.CodeNotFound,
		"/V2/":                                store.CodeNotFound,
		"/v2//":                               store.CodeNotFound,
		"/v2/./":                              store.CodeNotFound,
		"/v2/../":                             store.CodeNotFound,
		"/v2/%2e%2e/":                         store.CodeNotFound,
		"/v2/;x":                              store.CodeNotFound,
		"/v2/_catalog/":                       store.CodeNotFound,
		"/v2/_catalog;x":                      store.CodeNotFound,
		"/v2/%5Fcatalog":                      store.CodeNotFound,
		"/v2/_Catalog":                        store.CodeNotFound,
		"/v2/a":                               store.CodeNotFound,
		"/v2/a/":                              store.CodeNotFound,
		"/v2/a/b":                             store.CodeNotFound,
		"/v2/tags/list":                       store.CodeNotFound,
		"/v2/a/tags/list/":                    store.CodeNotFound,
		"/v2/a/tags/list;x":                   store.CodeNotFound,
		"/v2/a/tags/LIST":                     store.CodeNotFound,
		"/v2/a%2Fb/tags/list":                 store.CodeNotFound,
		"/v2/a/manifests/%2e":                 store.CodeNotFound,
		"/v2/a/blobs/sha256%3A" + hex64:       store.CodeNotFound,
		"/v2//a/tags/list":                    store.CodeNameInvalid,
		"/v2/a//b/tags/list":                  store.CodeNameInvalid,
		"/v2/a/../b/tags/list":                store.CodeNameInvalid,
		"/v2/a/./b/tags/list":                 store.CodeNameInvalid,
		"/v2/A/tags/list":                     store.CodeNameInvalid,
		"/v2/a\x00b/tags/list":                store.CodeNameInvalid,
		"/v2/ä/tags/list":                     store.CodeNameInvalid,
		"/v2/_upload/tags/list":               store.CodeNameInvalid,
		"/v2/a_/tags/list":                    store.CodeNameInvalid,
		"/v2/a/manifests/":                    store.CodeTagInvalid,
		"/v2/a/manifests/x;y":                 store.CodeTagInvalid,
		"/v2/a/manifests/..":                  store.CodeTagInvalid,
		"/v2/a/blobs/uploads":                 store.CodeDigestInvalid,
		"/v2/a/blobs/sha256:short":            store.CodeDigestInvalid,
		"/v2/a/blobs/SHA256:" + hex64:         store.CodeDigestInvalid,
		"/v2/a/blobs/md5:" + hex64[:32]:       store.CodeDigestInvalid,
		"/v2/a/referrers/latest":              store.CodeDigestInvalid,
		"/v2/a/blobs/uploads/" + upload[:31]:  store.CodeBlobUploadUnknown,
		"/v2/a/blobs/uploads/" + upload + "0": store.CodeBlobUploadUnknown,
		"/v2/a/blobs/uploads/..%2f" + upload:  store.CodeNotFound,
		"/v2/a/blobs/uploads/../" + upload:    store.CodeNotFound,
		"/v2/a/blobs/uploads/" + upload + "/": store.CodeNotFound,
		"/v2/a/uploads/" + upload:             store.CodeNotFound,
		"/healthz/":                           store.CodeNotFound,
		"/metrics/":                           store.CodeNotFound,
		"/debug/pprof/":                       store.CodeNotFound,
		"/api/v1/":                            store.CodeNotFound,
		"/api/v1/users/":                      store.CodeNotFound,
		"/api/v1/users/..":                    store.CodeNotFound,
		"/api/v1/users/a/b":                   store.CodeNotFound,
		"/api/v1/users/a%2fb":                 store.CodeNotFound,
		"/api/v1/nothing/x":                   store.CodeNotFound,
		"/api/v1//users":                      store.CodeNotFound,
		"/v2/" + strings.Repeat("a", 256) + "/tags/list": store.CodeNameInvalid,
	} {
		if got, err := ParseRoute(http.MethodGet, path); store.CodeOf(err) != want {
			t.Errorf("%q: %+v, %v, want %s", path, got, err, want)
		}
	}
}

func TestMethods(t *testing.T) {
	for e, allowed := range methods {
		r := Route{Endpoint: e, Repo: "a", Reference: store.Reference{Tag: "t"}, Digest: sha256, Arg: "x"}
		if e == EndpointUpload {
			r.Upload = upload
		}
		for _, m := range []string{"GET", "HEAD", "PUT", "POST", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "get", "", "PROPFIND"} {
			_, err := ParseRoute(m, r.Path())
			want := store.Code("")
			if m == "" || !strings.Contains(", "+allowed+",", ", "+m+",") {
				want = store.CodeMethod
			}
			if store.CodeOf(err) != want {
				t.Errorf("%q %s: %v", m, r.Path(), err)
			}
		}
	}
}

func FuzzParseRoute(f *testing.F) {
	for _, s := range []string{"/v2/", "/v2/_catalog", "/v2/a/tags/list", "/v2/a/b/manifests/" + sha256, "/v2/a/blobs/uploads/", "/v2/a/blobs/uploads/" + upload,
		"/v2/a/blobs/" + sha512, "/v2/a/referrers/" + sha256, "/v2/a%2fb/tags/list", "/v2/../a", "/api/v1/users/x", "/api/v1/authorities/x/revoke", "/metrics;x", "//v2/", "/k8s/v1/validate/warn", "/k8s/v1/gatekeeper/mutate/"} {
		f.Add("GET", s)
	}
	f.Fuzz(func(t *testing.T, method, path string) {
		r, err := ParseRoute(method, path)
		if err != nil {
			if e, ok := err.(*store.Error); !ok || e.Status() != 400 && e.Status() != 404 && e.Status() != 405 {
				t.Fatalf("%q: %v", path, err)
			}
			if store.CodeOf(err) != store.CodeMethod {
				return
			}
		}
		if got := r.Path(); got != path {
			t.Fatalf("%q reads as %+v, which is %q", path, r, got)
		}
		if strings.ContainsAny(path, "%\x00;") || strings.Contains(path, "//") || strings.Contains(path, "/.") {
			t.Fatalf("%q is a route: %+v", path, r)
		}
	})
}
