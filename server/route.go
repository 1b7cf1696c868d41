package server

import (
	"slices"
	"strings"

	"github.com/assay-registry/assay/store"
)

// Endpoint names a kind of resource. The names are the values of the metrics' label "route".
type Endpoint string

// The endpoints of the distribution specification, of operation and of administration.
const (
	EndpointNone Endpoint = "none" // no route

	EndpointBase      Endpoint = "base"      // /v2/
	EndpointCatalog   Endpoint = "catalog"   // /v2/_catalog
	EndpointTags      Endpoint = "tags"      // /v2/<name>/tags/list
	EndpointReferrers Endpoint = "referrers" // /v2/<name>/referrers/<digest>
	EndpointManifest  Endpoint = "manifest"  // /v2/<name>/manifests/<reference>
	EndpointBlob      Endpoint = "blob"      // /v2/<name>/blobs/<digest>
	EndpointUploads   Endpoint = "uploads"   // /v2/<name>/blobs/uploads/
	EndpointUpload    Endpoint = "upload"    // /v2/<name>/blobs/uploads/<id>

	EndpointToken   Endpoint = "token"   // /auth/token
	EndpointHealth  Endpoint = "healthz" // /healthz
	EndpointReady   Endpoint = "readyz"  // /readyz
	EndpointMetrics Endpoint = "metrics" // /metrics

	EndpointExplain     Endpoint = "explain"     // /api/v1/explain
	EndpointDecision    Endpoint = "decision"    // /api/v1/decisions/<id>
	EndpointTree        Endpoint = "tree"        // /api/v1/tree
	EndpointVerify      Endpoint = "verify"      // /api/v1/verify
	EndpointAuthorities Endpoint = "authorities" // /api/v1/authorities
	EndpointAuthority   Endpoint = "authority"   // /api/v1/authorities/<name>
	EndpointRevocations Endpoint = "revocations" // /api/v1/revocations
	EndpointRevocation  Endpoint = "revocation"  // /api/v1/revocations/<id>
	EndpointRestore     Endpoint = "restore"     // /api/v1/restore
	EndpointAudit       Endpoint = "audit"       // /api/v1/audit
	EndpointUsers       Endpoint = "users"       // /api/v1/users
	EndpointUser        Endpoint = "user"        // /api/v1/users/<name>
	EndpointCheck       Endpoint = "check"       // /api/v1/check
	EndpointTrace       Endpoint = "trace"       // /api/v1/decisions/<id>/trace
	EndpointObligations Endpoint = "obligations" // /api/v1/obligations
	EndpointKey         Endpoint = "key"         // /api/v1/keys/<use>.pem

	EndpointWaivers             Endpoint = "waivers"              // /api/v1/waivers
	EndpointWaiver              Endpoint = "waiver"               // /api/v1/waivers/<id>
	EndpointRevokeWaiver        Endpoint = "revoke_waiver"        // /api/v1/waivers/<id>/revoke
	EndpointDecisions           Endpoint = "decisions"            // /api/v1/decisions
	EndpointDecisionsExport     Endpoint = "decisions_export"     // /api/v1/decisions/export
	EndpointDecisionsCheckpoint Endpoint = "decisions_checkpoint" // /api/v1/decisions/checkpoint
	EndpointDecisionsVerify     Endpoint = "decisions_verify"     // /api/v1/decisions/verify
	EndpointAuditCheckpoint     Endpoint = "audit_checkpoint"     // /api/v1/audit/checkpoint
	EndpointAuditVerify         Endpoint = "audit_verify"         // /api/v1/audit/verify

	EndpointRevokeTrust      Endpoint = "revoke_trust"      // /api/v1/authorities/<name>/revoke
	EndpointRestoreTrust     Endpoint = "restore_trust"     // /api/v1/authorities/<name>/restore
	EndpointTrustRevocations Endpoint = "trust_revocations" // /api/v1/trust/revocations
	EndpointTrustStatus      Endpoint = "trust_status"      // /api/v1/trust/status
	EndpointTrustUpdate      Endpoint = "trust_update"      // /api/v1/trust/update
	EndpointTrustImport      Endpoint = "trust_import"      // /api/v1/trust/import/<name>

	EndpointPolicies       Endpoint = "policies"        // /api/v1/policies
	EndpointPolicyStage    Endpoint = "policy_stage"    // /api/v1/policies/staged
	EndpointPolicyReplay   Endpoint = "policy_replay"   // /api/v1/policies/replay
	EndpointPolicyActivate Endpoint = "policy_activate" // /api/v1/policies/activate
	EndpointPolicyRollback Endpoint = "policy_rollback" // /api/v1/policies/rollback
	EndpointPolicyHistory  Endpoint = "policy_history"  // /api/v1/policies/history

	EndpointSchema Endpoint = "schema" // /api/v1/schema/<name>
	EndpointCode   Endpoint = "code"   // /api/v1/codes/<code>

	EndpointSBOMQuery    Endpoint = "sbom_query"    // /api/v1/sbom/query
	EndpointSBOMPackages Endpoint = "sbom_packages" // /api/v1/sbom/packages
	EndpointSBOMWhy      Endpoint = "sbom_why"      // /api/v1/sbom/why
	EndpointSBOMDiff     Endpoint = "sbom_diff"     // /api/v1/sbom/diff
	EndpointSBOMDrift    Endpoint = "sbom_drift"    // /api/v1/sbom/drift
	EndpointSBOMHistory  Endpoint = "sbom_history"  // /api/v1/sbom/history
	EndpointSBOMStatus   Endpoint = "sbom_status"   // /api/v1/sbom/status
	EndpointSBOMRetry    Endpoint = "sbom_retry"    // /api/v1/sbom/retry
	EndpointReport       Endpoint = "report"        // /api/v1/report
	EndpointVulns        Endpoint = "vulns"         // /api/v1/vulns
	EndpointVulnDBs      Endpoint = "vulndbs"       // /api/v1/vulndb
	EndpointVulnDB       Endpoint = "vulndb"        // /api/v1/vulndb/<name>

	EndpointK8sEnforce    Endpoint = "k8s_enforce"    // /k8s/v1/validate/enforce
	EndpointK8sWarn       Endpoint = "k8s_warn"       // /k8s/v1/validate/warn
	EndpointK8sAudit      Endpoint = "k8s_audit"      // /k8s/v1/validate/audit
	EndpointK8sMutate     Endpoint = "k8s_mutate"     // /k8s/v1/mutate
	EndpointK8sProvide    Endpoint = "k8s_provide"    // /k8s/v1/gatekeeper/validate
	EndpointK8sProvidePin Endpoint = "k8s_providepin" // /k8s/v1/gatekeeper/mutate
	EndpointK8sImages     Endpoint = "k8s_images"     // /k8s/v1/imagereview
)

// methods is what each endpoint takes, as the Allow header says it.
var methods = map[Endpoint]string{
	EndpointBase:        "GET, HEAD",
	EndpointCatalog:     "GET",
	EndpointTags:        "GET",
	EndpointReferrers:   "GET",
	EndpointManifest:    "GET, HEAD, PUT, DELETE",
	EndpointBlob:        "GET, HEAD, DELETE",
	EndpointUploads:     "POST",
	EndpointUpload:      "GET, PATCH, PUT, DELETE",
	EndpointToken:       "GET, POST",
	EndpointHealth:      "GET, HEAD",
	EndpointReady:       "GET, HEAD",
	EndpointMetrics:     "GET",
	EndpointSchema:      "GET",
	EndpointCode:        "GET",
	EndpointExplain:     "GET",
	EndpointDecision:    "GET",
	EndpointTree:        "GET",
	EndpointVerify:      "GET, POST",
	EndpointAuthorities: "GET, POST",
	EndpointAuthority:   "DELETE",
	EndpointRevocations: "GET, POST",
	EndpointRevocation:  "DELETE",
	EndpointRestore:     "POST",
	EndpointAudit:       "GET",
	EndpointUsers:       "GET, POST",
	EndpointUser:        "DELETE",
	EndpointCheck:       "GET",
	EndpointTrace:       "GET",
	EndpointObligations: "GET",
	EndpointKey:         "GET, HEAD",

	EndpointWaivers:             "GET",
	EndpointWaiver:              "GET",
	EndpointRevokeWaiver:        "POST",
	EndpointDecisions:           "GET",
	EndpointDecisionsExport:     "GET",
	EndpointDecisionsCheckpoint: "GET",
	EndpointDecisionsVerify:     "POST",
	EndpointAuditCheckpoint:     "GET",
	EndpointAuditVerify:         "POST",

	EndpointRevokeTrust:      "POST",
	EndpointRestoreTrust:     "POST",
	EndpointTrustRevocations: "GET",
	EndpointTrustStatus:      "GET",
	EndpointTrustUpdate:      "POST",
	EndpointTrustImport:      "POST",

	EndpointPolicies:       "GET",
	EndpointPolicyStage:    "POST, DELETE",
	EndpointPolicyReplay:   "POST",
	EndpointPolicyActivate: "POST",
	EndpointPolicyRollback: "POST",
	EndpointPolicyHistory:  "GET",

	EndpointSBOMQuery:    "GET",
	EndpointSBOMPackages: "GET",
	EndpointSBOMWhy:      "GET",
	EndpointSBOMDiff:     "GET",
	EndpointSBOMDrift:    "GET",
	EndpointSBOMHistory:  "GET",
	EndpointSBOMStatus:   "GET",
	EndpointSBOMRetry:    "POST",
	EndpointReport:       "GET",
	EndpointVulns:        "GET",
	EndpointVulnDBs:      "GET",
	EndpointVulnDB:       "PUT, DELETE",

	EndpointK8sEnforce:    "POST",
	EndpointK8sWarn:       "POST",
	EndpointK8sAudit:      "POST",
	EndpointK8sMutate:     "POST",
	EndpointK8sProvide:    "POST",
	EndpointK8sProvidePin: "POST",
	EndpointK8sImages:     "POST",
}

// fixed are the paths without parts.
var fixed = map[string]Endpoint{
	"/v2/":                EndpointBase,
	"/v2/_catalog":        EndpointCatalog,
	"/auth/token":         EndpointToken,
	"/healthz":            EndpointHealth,
	"/readyz":             EndpointReady,
	"/metrics":            EndpointMetrics,
	"/api/v1/explain":     EndpointExplain,
	"/api/v1/tree":        EndpointTree,
	"/api/v1/verify":      EndpointVerify,
	"/api/v1/authorities": EndpointAuthorities,
	"/api/v1/revocations": EndpointRevocations,
	"/api/v1/restore":     EndpointRestore,
	"/api/v1/audit":       EndpointAudit,
	"/api/v1/users":       EndpointUsers,
	"/api/v1/check":       EndpointCheck,
	"/api/v1/obligations": EndpointObligations,

	"/api/v1/waivers":              EndpointWaivers,
	"/api/v1/decisions":            EndpointDecisions,
	"/api/v1/decisions/export":     EndpointDecisionsExport,
	"/api/v1/decisions/checkpoint": EndpointDecisionsCheckpoint,
	"/api/v1/decisions/verify":     EndpointDecisionsVerify,
	"/api/v1/audit/checkpoint":     EndpointAuditCheckpoint,
	"/api/v1/audit/verify":         EndpointAuditVerify,

	"/api/v1/trust/revocations": EndpointTrustRevocations,
	"/api/v1/trust/status":      EndpointTrustStatus,
	"/api/v1/trust/update":      EndpointTrustUpdate,

	"/api/v1/policies":          EndpointPolicies,
	"/api/v1/policies/staged":   EndpointPolicyStage,
	"/api/v1/policies/replay":   EndpointPolicyReplay,
	"/api/v1/policies/activate": EndpointPolicyActivate,
	"/api/v1/policies/rollback": EndpointPolicyRollback,
	"/api/v1/policies/history":  EndpointPolicyHistory,

	"/api/v1/sbom/query":    EndpointSBOMQuery,
	"/api/v1/sbom/packages": EndpointSBOMPackages,
	"/api/v1/sbom/why":      EndpointSBOMWhy,
	"/api/v1/sbom/diff":     EndpointSBOMDiff,
	"/api/v1/sbom/drift":    EndpointSBOMDrift,
	"/api/v1/sbom/history":  EndpointSBOMHistory,
	"/api/v1/sbom/status":   EndpointSBOMStatus,
	"/api/v1/sbom/retry":    EndpointSBOMRetry,
	"/api/v1/report":        EndpointReport,
	"/api/v1/vulns":         EndpointVulns,
	"/api/v1/vulndb":        EndpointVulnDBs,

	"/k8s/v1/validate/enforce":    EndpointK8sEnforce,
	"/k8s/v1/validate/warn":       EndpointK8sWarn,
	"/k8s/v1/validate/audit":      EndpointK8sAudit,
	"/k8s/v1/mutate":              EndpointK8sMutate,
	"/k8s/v1/gatekeeper/validate": EndpointK8sProvide,
	"/k8s/v1/gatekeeper/mutate":   EndpointK8sProvidePin,
	"/k8s/v1/imagereview":         EndpointK8sImages,
}

// apiBase is where the paths of administration begin.
const apiBase = "/api/v1/"

// about are the paths of administration that name what they are about: before it and after it, below apiBase.
var about = []struct {
	before, after string
	endpoint      Endpoint
}{
	{"decisions/", "", EndpointDecision},
	{"decisions/", "/trace", EndpointTrace},
	{"keys/", "", EndpointKey},
	{"authorities/", "", EndpointAuthority},
	{"authorities/", "/revoke", EndpointRevokeTrust},
	{"authorities/", "/restore", EndpointRestoreTrust},
	{"trust/import/", "", EndpointTrustImport},
	{"revocations/", "", EndpointRevocation},
	{"users/", "", EndpointUser},
	{"waivers/", "", EndpointWaiver},
	{"waivers/", "/revoke", EndpointRevokeWaiver},
	{"vulndb/", "", EndpointVulnDB},
	{"schema/", "", EndpointSchema},
	{"codes/", "", EndpointCode},
}

// ofAdministration are the endpoints of administration.
var ofAdministration = func() map[Endpoint]bool {
	all := map[Endpoint]bool{}
	for path, e := range fixed {
		if strings.HasPrefix(path, apiBase) {
			all[e] = true
		}
	}
	for _, p := range about {
		all[p.endpoint] = true
	}
	return all
}()

// labelled are the paths behind which the labels of namespaces may stand: see kubernetes.ParseLabels.
var labelled = []string{"/k8s/v1/validate/enforce", "/k8s/v1/validate/warn", "/k8s/v1/validate/audit", "/k8s/v1/mutate"}

// Route is what a method and a path mean. Which fields are set follows from the endpoint.
type Route struct {
	Method    string
	Endpoint  Endpoint
	Repo      store.Name
	Reference store.Reference // of a manifest
	Digest    store.Digest    // of a blob, or the subject of referrers
	Upload    string          // the session's ID
	Arg       string          // the last part of a path of administration
}

// Path is the inverse of [ParseRoute]: the one spelling of the route's path.
func (r Route) Path() string {
	base := "/v2/" + string(r.Repo)
	switch r.Endpoint {
	case EndpointTags:
		return base + "/tags/list"
	case EndpointReferrers:
		return base + "/referrers/" + string(r.Digest)
	case EndpointManifest:
		return base + "/manifests/" + r.Reference.String()
	case EndpointBlob:
		return base + "/blobs/" + string(r.Digest)
	case EndpointUploads, EndpointUpload:
		return base + "/blobs/uploads/" + r.Upload
	}
	for _, p := range about {
		if p.endpoint == r.Endpoint {
			return apiBase + p.before + r.Arg + p.after
		}
	}
	for path, e := range fixed {
		if e == r.Endpoint && r.Arg != "" && slices.Contains(labelled, path) {
			return path + "/" + r.Arg
		} else if e == r.Endpoint {
			return path
		}
	}
	return ""
}

// api reports whether the route is one of administration.
func (r Route) api() bool { return ofAdministration[r.Endpoint] }

// cluster reports whether the route is one of a cluster's questions.
func (r Route) cluster() bool {
	switch r.Endpoint {
	case EndpointK8sEnforce, EndpointK8sWarn, EndpointK8sAudit, EndpointK8sMutate, EndpointK8sProvide, EndpointK8sProvidePin, EndpointK8sImages:
		return true
	}
	return false
}

// ParseRoute reads a method and an escaped path (the path as it came, [net/url.URL.EscapedPath]). It is pure and strict: a route has one
// spelling, and a path that needs decoding or cleaning ("%", "//", "/../", another case, a trailing slash) has none.
// Errors: CodeNotFound where there is no such route; CodeNameInvalid, CodeDigestInvalid, CodeTagInvalid, CodeBlobUploadUnknown for a part that
// is malformed; CodeMethod for a method that the endpoint does not take. With an error, Endpoint is set as far as it is known.
func ParseRoute(method, rawPath string) (Route, error) {
	r, err := parsePath(rawPath)
	r.Method = method
	if err != nil {
		return r, err
	}
	for m := range strings.SplitSeq(methods[r.Endpoint], ", ") {
		if m == method {
			return r, nil
		}
	}
	return r, store.Errorf(store.CodeMethod, "this resource takes %s only", methods[r.Endpoint])
}

func parsePath(path string) (Route, error) {
	if e, ok := fixed[path]; ok {
		return Route{Endpoint: e}, nil
	}
	if strings.IndexByte(path, '%') < 0 {
		if rest, ok := strings.CutPrefix(path, "/v2/"); ok {
			return parseContent(rest)
		}
		if rest, ok := strings.CutPrefix(path, apiBase); ok {
			return parseAPI(rest)
		}
		for _, base := range labelled {
			if rest, ok := strings.CutPrefix(path, base+"/"); ok && rest != "" {
				return Route{Endpoint: fixed[base], Arg: rest}, nil
			}
		}
	}
	return nowhere()
}

func nowhere() (Route, error) {
	return Route{Endpoint: EndpointNone}, store.Errorf(store.CodeNotFound,
		"there is nothing at this path; paths are spelled exactly as the specification does, without escapes")
}

// parseContent reads <name>/tags/list, <name>/manifests/<reference> and the like from their end: a repository's name may contain any of the
// words, what follows it cannot.
func parseContent(rest string) (Route, error) {
	head, last, ok := cutLast(rest)
	if !ok {
		return nowhere()
	}
	name, kind, ok := cutLast(head)
	if !ok {
		return nowhere()
	}
	var r Route
	var err error
	switch kind {
	case "tags":
		if last != "list" {
			return nowhere()
		}
		r.Endpoint = EndpointTags
	case "manifests":
		r.Endpoint = EndpointManifest
		r.Reference, err = store.ParseReference(last)
	case "blobs":
		r.Endpoint = EndpointBlob
		r.Digest, err = store.ParseDigest(last)
	case "referrers":
		r.Endpoint = EndpointReferrers
		r.Digest, err = store.ParseDigest(last)
	case "uploads":
		if name, ok = strings.CutSuffix(name, "/blobs"); !ok {
			return nowhere()
		}
		r.Endpoint, r.Upload = EndpointUploads, last
		if last != "" {
			r.Endpoint, err = EndpointUpload, checkUpload(last)
		}
	default:
		return nowhere()
	}
	repo, nameErr := store.ParseName(name)
	if nameErr != nil {
		return Route{Endpoint: r.Endpoint}, nameErr
	}
	if err != nil {
		return Route{Endpoint: r.Endpoint, Repo: repo}, err
	}
	r.Repo = repo
	return r, nil
}

func cutLast(s string) (before, after string, ok bool) {
	i := strings.LastIndexByte(s, '/')
	if i < 0 {
		return "", "", false
	}
	return s[:i], s[i+1:], true
}

// checkUpload: 128 bits in lower-case hexadecimal. Anything else names no session.
func checkUpload(id string) error {
	ok := len(id) == 32
	for i := 0; ok && i < len(id); i++ {
		ok = id[i] >= '0' && id[i] <= '9' || id[i] >= 'a' && id[i] <= 'f'
	}
	if !ok {
		return store.Errorf(store.CodeBlobUploadUnknown, "there is no such upload; start one with POST to blobs/uploads/")
	}
	return nil
}

func parseAPI(rest string) (Route, error) {
	for _, p := range about {
		arg, ok := strings.CutPrefix(rest, p.before)
		if ok {
			arg, ok = strings.CutSuffix(arg, p.after)
		}
		if ok && validArg(arg) {
			return Route{Endpoint: p.endpoint, Arg: arg}, nil
		}
	}
	return nowhere()
}

// validArg: a name or an ID as administration gives them out; it begins with a letter or digit, so that "." and ".." are none.
func validArg(s string) bool {
	if s == "" || len(s) > 255 {
		return false
	}
	for i := range len(s) {
		c := s[i]
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		if !letter && (i == 0 || strings.IndexByte("._@+-", c) < 0) {
			return false
		}
	}
	return true
}
