package assay_test

import (
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/assay-registry/assay"

// row says which packages of this module a package may import outside its tests, and why no more.
type row struct {
	pkg    string
	may    []string
	reason string
}

// directions is the one table of import directions: store <- referrers <- {verify, sbom} <- policy <- server <- cmd.
var directions = []row{
	{"store", nil, "vocabulary and core: everyone depends on it, so it depends on nobody"},
	{"store/fs", []string{"store"}, "a content driver knows bytes and digests, no repositories"},
	{"store/mem", []string{"store"}, "both drivers in memory, held to the same suites"},
	{"store/bolt", []string{"store"}, "a metadata driver knows keys and values, no meaning"},
	{"store/storetest", []string{"store", "store/fs"}, "the suites speak to interfaces alone, so that any driver or decorator can be put in; the disk that crashes is a file system of store/fs"},
	{"referrers", []string{"store"}, "edges are derived from stored bytes; what they prove is somebody else's question"},
	{"verify", []string{"store", "referrers"}, "proves, never decides: it must not see policy"},
	{"verify/sigstore", []string{"store", "referrers", "verify"}, "leaf that links the sigstore libraries"},
	{"verify/signer", []string{"store", "referrers", "verify"}, "leaf of the command line: makes what cosign reads, with a private key that no server ever sees"},
	{"verify/estate", []string{"store", "verify"}, "a Sigstore instance for tests: it signs, and nothing that ships may"},
	{"verify/notation", []string{"store", "referrers", "verify"}, "leaf that links the Notary Project's libraries"},
	{"verify/trust", []string{"store", "referrers", "verify"}, "leaf that links go-tuf"},
	{"verify/tufrepo", []string{"store", "verify", "verify/trust"}, "leaf of the command line: makes, with private keys that no server holds, what verify/trust says that it reads"},
	{"sbom", []string{"store", "referrers"}, "documents and packages; verify and sbom do not know each other"},
	{"sbom/index", []string{"store", "sbom"}, "packages of all images, in the transactions of the store; who may see them is the caller's question"},
	{"sbom/osv", []string{"store"}, "advisories as files have them; what they match is somebody else's question"},
	{"sbom/vex", []string{"store", "sbom/osv"}, "statements as documents have them; whom they convince is decided elsewhere"},
	{"sbom/pack", []string{"store"}, "leaf: the form of records, and nothing of what is in them"},
	{"sbom/ecosystem", []string{"sbom", "sbom/index", "sbom/osv"}, "how ecosystems name things and order versions: functions of texts"},
	{"sbom/advisory", []string{"store", "sbom/index", "sbom/osv", "sbom/ecosystem", "sbom/pack"}, "what an advisory says of a version: bytes in, answers out, no store"},
	{"sbom/exploit", []string{"store", "sbom/osv", "sbom/pack"}, "EPSS and KEV as files and as pages; whose findings they are about is somebody else's question"},
	{"sbom/finding", []string{"store", "sbom", "sbom/index", "sbom/osv", "sbom/vex", "sbom/exploit"}, "what reports tell of one vulnerability; who finds it, and whom a statement convinces, is decided elsewhere"},
	{"sbom/vulns", []string{"store", "sbom", "sbom/index", "sbom/osv", "sbom/vex", "sbom/ecosystem", "sbom/advisory", "sbom/pack", "sbom/exploit", "sbom/finding"}, "advisories against the packages of all images; whose database and whose VEX count is the caller's question"},
	{"policy/journal", []string{"store"}, "a chained log knows lines, no decisions"},
	{"sbom/vulndb", []string{"store", "sbom/vulns", "sbom/osv"}, "the form in which databases travel; who vouches for one is the caller's question"},
	{"policy/access", []string{"store"}, "who may do what, as pure functions over roles: no manifest, no store, no clock"},
	{"policy/contract", []string{"store", "verify", "policy/access"}, "the two documents and the engine between them: those who ask and those who answer share nothing else"},
	{"policy/sentence", []string{"store"}, "what people are shown, and what of it may be cut"},
	{"policy/waiver", []string{"store", "policy/contract", "policy/sentence"}, "the document and its one effect; whose signature counts is asked of the caller's trust"},
	{"policy/decisionlog", []string{"store", "policy/journal", "policy/sentence"}, "events, bounded in memory and written to a journal; who may read them is asked elsewhere"},
	{"policy/pulls", []string{"store"}, "counts of what was pulled, in bounds and without waiting; whoever asks for them is no business of theirs"},
	{"policy/vsa", []string{"store", "verify", "sbom", "policy/contract"}, "the statement about an admission: what it says, and until when; who judges is above it"},
	{"policy/shadow", []string{"store", "policy/contract", "policy/sentence"}, "a second engine beside the first, and where they differ; which sets there are is asked elsewhere"},
	{"policy/outbox", []string{"store", "policy/sentence"}, "what is to be done after a decision, and whom to tell; what was decided is told to it"},
	{"policy/pins", []string{"store", "verify"}, "what a TUF repository says, ready for look-ups; whose word counts is asked of the caller's trust"},
	{"policy/trust", []string{"store", "verify", "policy/access", "policy/contract", "policy/pins", "policy/sentence"}, "who is trusted for what, and which verdicts a change of that puts in doubt: it verifies nothing and decides nothing"},
	{"policy/proof", []string{"store", "verify", "policy/contract", "policy/trust"}, "what evidence proves of a subject, kept and counted; who verifies is passed in, and what follows is for policies to say"},
	{"policy/waiverkeep", []string{"store", "verify", "policy/access", "policy/contract", "policy/proof", "policy/sentence", "policy/trust", "policy/waiver"}, "waivers as they are kept, and by whom they count; where they arrive, and who is asked again, is above it"},
	{"policy/sight", []string{"store", "policy/access", "policy/sentence", "policy/trust"}, "how a manifest stands, and what of it a caller is shown: look-ups; what is in doubt is decided above it"},
	{"policy/turns", []string{"store"}, "who may do something now; what that is, is the caller's"},
	{"policy/inventory", []string{"store", "referrers", "verify", "sbom", "sbom/index", "policy/contract", "policy/sentence"}, "which SBOM speaks for an image and what is read of it; what follows, and who may ask, is above it"},
	{"policy/findings", []string{"store", "verify", "sbom", "sbom/index", "sbom/vulns", "sbom/vex", "sbom/finding", "policy/contract", "policy/inventory", "policy/proof", "policy/sentence", "policy/trust"}, "what is known of an image's vulnerabilities, and what is stated of them; whom a change of that concerns is above it"},
	{"policy/asked", []string{"store", "policy/contract"}, "who asked for what, lately; what policies would be told of it now is found above it"},
	{"policy/replay", []string{"store", "policy/asked", "policy/contract", "policy/proof", "policy/pulls", "policy/sentence", "policy/shadow"}, "what another set would change, in which order that is found, and how it is told; who decides is behind an interface"},
	{"policy/explain", []string{"store", "verify", "policy/access", "policy/contract", "policy/findings", "policy/proof", "policy/pulls", "policy/sight", "policy/trust", "policy/waiverkeep"}, "why something may be pulled or not, for whom that may be told: it reads what the gate kept and decides nothing"},
	{"policy/moves", []string{"store", "policy/contract"}, "where tags pointed; what is told of that, and to whom, is the caller's"},
	{"policy/contents", []string{"store", "sbom", "sbom/index", "sbom/vulns", "sbom/finding", "policy/access", "policy/contract", "policy/findings", "policy/ingest", "policy/inventory", "policy/moves", "policy/sentence", "policy/sight", "policy/trust", "policy/turns"}, "what people are told of what images contain: it reads what is indexed and remembered, and decides nothing"},
	{"policy/parsed", []string{"store", "verify", "policy/contract", "policy/sentence", "policy/sight", "policy/trust"}, "what the bytes of manifests say; of verdicts it reads only whether an index stands"},
	{"policy/ingest", []string{"store", "verify", "sbom", "sbom/index", "policy/contract", "policy/inventory", "policy/proof", "policy/sentence", "policy/turns"}, "reads the documents that the inventory names, and answers of them; which counts is decided there"},
	{"policy/census", []string{"store", "verify", "sbom", "sbom/index", "sbom/vulns", "policy/access", "policy/findings", "policy/inventory", "policy/proof", "policy/sight", "policy/trust", "policy/turns"}, "counts what a caller could GET"},
	{"policy", []string{"store", "referrers", "verify", "sbom", "sbom/index", "sbom/vulns", "policy/contents", "policy/explain", "policy/ingest", "policy/journal", "policy/access", "policy/asked", "policy/census", "policy/contract", "policy/moves", "policy/parsed", "policy/replay", "policy/sentence", "policy/waiver", "policy/decisionlog", "policy/findings", "policy/inventory", "policy/pulls", "policy/shadow", "policy/vsa", "policy/outbox", "policy/pins", "policy/proof", "policy/sight", "policy/trust", "policy/turns", "policy/waiverkeep"}, "decides on facts, through an Engine that it does not know"},
	{"policy/engine", []string{"store", "referrers", "verify", "sbom", "sbom/index", "policy/bounded", "policy/contract", "policy/facts", "policy/licences", "policy/plan", "policy/sentence", "policy/terms", "policy/triage", "policy/waiver", "policy/wanted", "policies"}, "leaf that links OPA; its built-ins order versions as the index does"},
	{"policy/terms", []string{"store", "policy/contract", "policy/plan"}, "values of OPA made of Go values, or left unread; what they mean is for who asks"},
	{"policy/wanted", []string{"policy/terms"}, "texts, patterns and times as policies write them; what is wanted of what is for who asks"},
	{"policy/licences", []string{"store", "sbom", "policy/plan", "policy/terms", "policy/wanted"}, "what rules say of licence expressions; whose they are is for who asks"},
	{"policy/triage", []string{"policy/contract", "policy/plan", "policy/terms", "policy/wanted"}, "findings sorted by rules; what follows from that is the policy's to say"},
	{"policy/facts", []string{"verify", "policy/plan", "policy/terms", "policy/wanted"}, "which facts of an input count for what is wanted; who proved them, and what follows, is above it"},
	{"policy/bounded", []string{"policy/plan", "policy/terms"}, "OPA's built-ins as policies may call them; who calls, and about what, is no matter of theirs"},
	{"policy/bundle", []string{"store", "policy/sentence"}, "archives of policies and who signed them; what they say is the engine's matter"},
	{"policy/plan", nil, "runs plans of OPA's planner, whatever they are about"},
	{"policies", nil, "embedded Rego and its data"},
	{"server", []string{"store", "referrers", "verify", "sbom", "sbom/index", "sbom/vulndb", "sbom/vulns", "policy", "policy/contents", "policy/explain", "policy/journal", "policy/access", "policy/asked", "policy/census", "policy/contract", "policy/decisionlog", "policy/replay", "policy/shadow", "policy/trust", "policy/waiverkeep", "server/kubernetes"}, "HTTP: a request becomes a call, an error becomes JSON"},
	{"server/kubernetes", []string{"store"}, "the words of a cluster's protocols; what an image deserves is asked through an interface"},
	{"server/auth", []string{"store", "policy", "policy/access"}, "who asks; what that allows is decided in policy"},
	{"cmd/assay", []string{"cmd/assay/accountcmd", "cmd/assay/checkcmd", "cmd/assay/cli", "cmd/assay/doctor", "cmd/assay/imagecmd", "cmd/assay/kubernetescmd", "cmd/assay/logcmd", "cmd/assay/policycmd", "cmd/assay/rehearse", "cmd/assay/sbomcmd", "cmd/assay/serve", "cmd/assay/signcmd", "cmd/assay/trustcmd", "cmd/assay/tufcmd", "cmd/assay/tufsuite", "cmd/assay/vulndbcmd", "cmd/assay/vulnscmd", "cmd/assay/waivercmd"}, "the commands put together; what each does is in the folder of its name"},
	{"deploy", nil, "embedded manifests; what is filled in is passed in"},
	{"cmd/assay/cli", []string{"cmd/assay/client", "cmd/assay/docker", "policies", "policy/contract", "policy/waiverkeep", "sbom/vulns", "store"}, "what all commands share; what a command does is beside it"},
	{"cmd/assay/place", []string{"cmd/assay/cli", "cmd/assay/config", "policy", "policy/inventory", "sbom", "server/auth", "store", "verify", "verify/notation", "verify/sigstore", "verify/trust"}, "what a command finds on its own machine; what is done with it is beside it"},
	{"cmd/assay/signcmd", []string{"cmd/assay/cli", "cmd/assay/client", "cmd/assay/docker", "referrers", "store", "verify", "verify/signer"}, "keys and signatures of this machine: no server is linked"},
	{"cmd/assay/trustcmd", []string{"cmd/assay/cli", "cmd/assay/client", "cmd/assay/config", "cmd/assay/docker", "cmd/assay/settings", "policy/trust", "store", "verify"}, "asks a server: it verifies nothing itself"},
	{"cmd/assay/tufcmd", []string{"cmd/assay/cli", "cmd/assay/client", "cmd/assay/place", "cmd/assay/signcmd", "cmd/assay/tufdir", "store", "verify", "verify/trust", "verify/tufrepo"}, "makes TUF repositories; what a registry believes of them is decided elsewhere"},
	{"cmd/assay/tufdir", nil, "files of a TUF repository; what they mean is tufrepo's matter"},
	{"cmd/assay/accountcmd", []string{"cmd/assay/cli", "cmd/assay/client", "cmd/assay/docker", "policy/access", "store"}, "asks a server, and keeps credentials"},
	{"cmd/assay/waivercmd", []string{"cmd/assay/cli", "cmd/assay/client", "cmd/assay/docker", "cmd/assay/signcmd", "policy/waiver", "policy/waiverkeep", "store", "verify", "verify/signer"}, "makes and signs waivers; whether one counts is decided in policy"},
	{"cmd/assay/imagecmd", []string{"cmd/assay/cli", "cmd/assay/client", "cmd/assay/verifyhere", "policy", "policy/contract", "policy/explain", "store", "verify"}, "asks a server, or verifies here with the very engines that a server has"},
	{"cmd/assay/sbomcmd", []string{"cmd/assay/cli", "cmd/assay/client", "cmd/assay/docker", "policy/contents", "sbom", "sbom/index"}, "asks a server and prints what it says"},
	{"cmd/assay/vulnscmd", []string{"cmd/assay/cli", "cmd/assay/client", "cmd/assay/docker", "policy/census", "policy/contents", "sbom", "sbom/vulns", "store"}, "asks a server and prints what it says"},
	{"cmd/assay/logcmd", []string{"cmd/assay/cli", "cmd/assay/client", "cmd/assay/place", "policy", "policy/decisionlog", "policy/journal"}, "asks a server, or verifies the files that one left"},
	{"cmd/assay/policycmd", []string{"cmd/assay/cli", "cmd/assay/client", "cmd/assay/config", "cmd/assay/docker", "cmd/assay/place", "cmd/assay/rehearse", "cmd/assay/rules", "cmd/assay/signcmd", "policies", "policy", "policy/bundle", "policy/contract", "policy/engine", "policy/replay", "policy/shadow", "referrers", "server", "store", "verify/signer"}, "compiles, tests and packs policies as a server would, and asks a server to change its own"},
	{"cmd/assay/vulndbcmd", []string{"cmd/assay/cli", "cmd/assay/client", "cmd/assay/config", "cmd/assay/docker", "cmd/assay/place", "cmd/assay/policycmd", "cmd/assay/signcmd", "cmd/assay/vulndbkeep", "sbom", "sbom/osv", "sbom/vulndb", "sbom/vulns", "store", "store/bolt", "store/fs"}, "makes databases, and installs one where no server runs"},
	{"cmd/assay/checkcmd", []string{"cmd/assay/cli", "cmd/assay/client", "cmd/assay/config", "cmd/assay/place", "cmd/assay/rehearse", "cmd/assay/rules", "cmd/assay/settings", "policy/contents", "policy/engine", "policy/inventory", "sbom/index", "store", "store/bolt", "store/fs"}, "looks into a store that no server holds"},
	{"cmd/assay/kubernetescmd", []string{"cmd/assay/cli", "cmd/assay/config", "cmd/assay/place", "cmd/assay/webhooktls", "deploy"}, "what a cluster is given: certificates and manifests"},
	{"cmd/assay/webhooktls", []string{"cmd/assay/cli", "cmd/assay/config", "cmd/assay/place"}, "certificates know keys and files, no questions"},
	{"cmd/assay/rules", []string{"cmd/assay/cli", "cmd/assay/config", "cmd/assay/follow", "policies", "policy", "policy/bundle", "policy/contract", "policy/engine", "policy/replay", "policy/shadow", "server", "store", "verify"}, "compiles; which policies count is the caller's question"},
	{"cmd/assay/vulndbkeep", []string{"cmd/assay/cli", "cmd/assay/config", "cmd/assay/place", "policy", "sbom/vulndb", "sbom/vulns", "server", "store"}, "installs databases; who vouches for one is whoever calls must know"},
	{"cmd/assay/doctor", []string{"cmd/assay/cli", "cmd/assay/config", "cmd/assay/place", "cmd/assay/rehearse", "cmd/assay/rules", "cmd/assay/settings", "cmd/assay/webhooktls", "policy", "policy/engine", "policy/waiverkeep", "sbom", "server", "store", "verify"}, "looks at files and at what a server wrote down; it opens no store"},
	{"cmd/assay/follow", []string{"cmd/assay/cli", "store"}, "how artifacts of this registry are watched and read; what they are, and who vouches for them, is the caller's question"},
	{"cmd/assay/outgoing", []string{"cmd/assay/config", "policy/outbox"}, "clients that go no further than an address says; what is read there, and who is told what, is decided elsewhere"},
	{"cmd/assay/metrics", []string{"cmd/assay/trustfollow", "policy", "policy/contract", "policy/decisionlog", "policy/waiverkeep", "server", "verify"}, "counts what a running registry tells; it changes nothing"},
	{"cmd/assay/rulebook", []string{"cmd/assay/cli", "cmd/assay/config", "cmd/assay/follow", "cmd/assay/place", "cmd/assay/rules", "policy", "policy/access", "policy/contract", "policy/engine", "policy/replay", "policy/shadow", "server", "store"}, "which policies are in force; what they decide is the engine's matter, and who may change them the server's"},
	{"cmd/assay/serve", []string{"cmd/assay/checkcmd", "cmd/assay/cli", "cmd/assay/config", "cmd/assay/metrics", "cmd/assay/outgoing", "cmd/assay/place", "cmd/assay/rehearse", "cmd/assay/rulebook", "cmd/assay/rules", "cmd/assay/trustfollow", "cmd/assay/vulndbfollow", "cmd/assay/vulndbkeep", "cmd/assay/webhooktls", "policy", "policy/access", "policy/contract", "policy/decisionlog", "policy/inventory", "policy/journal", "policy/trust", "policy/vsa", "policy/waiverkeep", "sbom", "sbom/index", "sbom/vulns", "server", "server/auth", "store", "store/bolt", "store/fs", "verify"}, "the only place that puts drivers, core, admission and HTTP together"},
	{"cmd/assay/trustfollow", []string{"cmd/assay/cli", "cmd/assay/follow", "cmd/assay/outgoing", "policy", "policy/access", "policy/trust", "server", "store", "verify", "verify/trust"}, "asks sources and hands on what they say; whether that comes into force is the caller's question"},
	{"cmd/assay/vulndbfollow", []string{"cmd/assay/cli", "cmd/assay/config", "cmd/assay/follow", "cmd/assay/place", "cmd/assay/vulndbkeep", "policy", "policy/access", "sbom/vulndb", "server", "store"}, "which artifact a database comes from, and by hand; how one is installed is vulndbkeep's matter"},
	{"cmd/assay/rehearse", []string{"cmd/assay/cli", "policy/engine", "store"}, "tries policies in a process of its own; what they are for is the caller's question"},
	{"cmd/assay/settings", nil, "reads one structure strictly, whatever it is about"},
	{"cmd/assay/tufsuite", []string{"cmd/assay/cli", "verify/trust"}, "the client under test of a suite: nothing of a registry is linked"},
	{"cmd/assay/verifyhere", []string{"cmd/assay/cli", "cmd/assay/client", "cmd/assay/place", "cmd/assay/trustcmd", "referrers", "store", "verify"}, "verifies on this machine with the very engines that a server has"},
	{"cmd/assay/config", []string{"cmd/assay/settings", "policy/access", "policy/outbox", "policy/waiver", "policy/waiverkeep", "sbom/vulndb", "store", "verify"}, "one struct, read strictly; it opens nothing and starts nothing"},
	{"cmd/assay/docker", []string{"store"}, "references and credentials as docker writes them, for every program that speaks to a registry"},
	{"cmd/assay/client", []string{"cmd/assay/docker", "policy", "policy/census", "policy/contents", "policy/contract", "policy/decisionlog", "policy/explain", "policy/journal", "policy/replay", "policy/shadow", "policy/trust", "policy/waiverkeep", "sbom", "sbom/index", "sbom/vulndb", "store", "verify"}, "the other side of the API: reports come as policy writes them"},
	{"cmd/assay-sbom/structhash", nil, "hashes of structures as syft computes them, without reflection"},
	{"cmd/assay-sbom/document", []string{"cmd/assay-sbom/structhash"}, "leaf that writes what syft found; what it found, and about which image, is passed in"},
	{"cmd/assay-sbom/stock", []string{"cmd/assay-sbom/document"}, "for tests: syft's own encoders, which the writers are held to"},
	{"cmd/assay-sbom", []string{"cmd/assay-sbom/document", "cmd/assay-sbom/structhash", "store", "sbom", "cmd/assay/docker"}, "the worker reads hostile layers: it holds no key, no store and no policy; run by hand, its parent finds the image and the credentials for it"},
}

// guarded says which packages alone may import a library directly. A prefix covers everything below it.
var guarded = []row{
	{"github.com/open-policy-agent/opa/", []string{"policy/bounded", "policy/bundle", "policy/engine", "policy/facts", "policy/licences", "policy/plan", "policy/terms", "policy/triage", "policy/wanted"}, "one place holds the restrictions that Rego runs under; bundles are held against their signatures by OPA's own code"},
	{"github.com/sigstore/", []string{"verify/sigstore", "verify/estate"}, "one place calls the verifiers, behind its own strict parse"},
	{"github.com/notaryproject/", []string{"verify/notation"}, "one place calls the verifier, behind its own strict parse"},
	{"github.com/notaryproject/notation-go/", nil, "its signer is for tests: it pulls a registry client and an LDAP library"},
	{"github.com/google/go-containerregistry/", []string{"verify/sigstore"}, "its value types are what cosign's functions take"},
	{"github.com/theupdateframework/go-tuf/", []string{"verify/trust", "verify/tufrepo"}, "one place holds the TUF state machine, one makes what it reads"},
	{"github.com/anchore/syft/", []string{"cmd/assay-sbom", "cmd/assay-sbom/document", "cmd/assay-sbom/stock"}, "the catalogers run in a process of their own"},
	{"github.com/google/osv-scalibr/", []string{"sbom/index"}, "versions are compared in one place; only its package semantic, which needs nothing else"},
	{"github.com/RoaringBitmap/", []string{"sbom/index", "sbom/vulns", "policy/census"}, "the form of postings; numbers of images come and go as bitmaps, and the report counts different versions in them"},
	{"github.com/pandatix/go-cvss/", []string{"sbom/osv"}, "vectors are scored in one place"},
	{"modernc.org/sqlite", []string{"cmd/assay-sbom"}, "a cataloger's need (RPM databases), not ours"},
	{"go.etcd.io/bbolt", []string{"store/bolt"}, "the core speaks KV"},
	{"github.com/prometheus/", []string{"server", "cmd/assay/metrics"}, "packages report through small interfaces; metrics are HTTP's matter"},
	{"github.com/spf13/", []string{"cmd/assay", "cmd/assay/doctor", "cmd/assay/serve", "cmd/assay/cli", "cmd/assay-sbom", "cmd/assay/accountcmd", "cmd/assay/imagecmd", "cmd/assay/logcmd", "cmd/assay/place", "cmd/assay/sbomcmd", "cmd/assay/signcmd", "cmd/assay/trustcmd", "cmd/assay/tufcmd", "cmd/assay/rehearse", "cmd/assay/tufsuite", "cmd/assay/vulnscmd", "cmd/assay/waivercmd", "cmd/assay/checkcmd", "cmd/assay/kubernetescmd", "cmd/assay/policycmd", "cmd/assay/vulndbcmd"}, "flags end where the command line ends"},
	{"github.com/go-jose/", []string{"server/auth"}, "tokens are made and read in one place, with the algorithms forced"},
	{"golang.org/x/crypto/bcrypt", []string{"server/auth", "cmd/assay"}, "passwords are compared in one place and made by one command"},
	{"golang.org/x/term", []string{"cmd/assay"}, "terminals are the command line's matter"},
	{"sigs.k8s.io/yaml", []string{"cmd/assay", "cmd/assay/config", "policy/engine", "policies"}, "configuration is read at the edge"},
	{"go.yaml.in/yaml", []string{"cmd/assay/config", "cmd/assay/settings", "policy/engine", "policies"}, "the lines of configuration errors"},
	{"unsafe", []string{"cmd/assay-sbom", "cmd/assay-sbom/document"}, "two functions of syft are reached by name; the worker's sandbox (seccomp, landlock) has system calls without a safe wrapper; what licensecheck computes is put into its fields instead"},
	{"math/rand", nil, "randomness is passed in"},
	{"math/rand/v2", []string{"store/storetest"}, "randomness is passed in, and is crypto/rand's reader where it matters; suites replay from a seed"},
	{"crypto/rand", []string{"cmd/assay", "server/auth", "store/fs"}, "randomness is passed in; a nil one means this, never something weaker"},
	{"testing", []string{"store/storetest"}, "suites are for tests; nothing that ships links the test runner"},
	{"net/http/httptest", nil, "fakes are for tests"},
	{"net/http/pprof", nil, "its import registers routes on a global mux"},
	{"expvar", nil, "its import registers routes on a global mux"},
	{"log", nil, "the logger is passed in, and is a slog.Logger"},
}

// unlinked says what may not even be linked, however indirectly, into a package.
var unlinked = []row{
	{"cmd/assay", []string{
		"github.com/anchore/syft/syft", "github.com/anchore/syft/syft/format/cyclonedxjson", "github.com/open-policy-agent/opa/v1/sdk", "github.com/open-policy-agent/opa/ast", "github.com/open-policy-agent/opa/rego", "github.com/open-policy-agent/opa/topdown",
		"github.com/open-policy-agent/opa/types", "k8s.io/client-go",
		"github.com/sigstore/cosign/v2/pkg/signature", "github.com/sigstore/cosign/v2/pkg/policy", "github.com/sigstore/cosign/v2/cmd/",
		"github.com/notaryproject/notation-go/", "github.com/go-ldap/",
	}, "size, start and attack surface of the server: cloud SDKs, catalogers and cluster clients stay out"},
	{"server", []string{"github.com/open-policy-agent/", "github.com/sigstore/", "github.com/anchore/", "go.etcd.io/bbolt"}, "the HTTP skin builds and is tested without the engines"},
	{"policy", []string{"github.com/open-policy-agent/", "github.com/sigstore/", "github.com/anchore/", "go.etcd.io/bbolt"}, "decisions are tested without the engines"},
	{"cmd/assay-sbom", []string{"github.com/sigstore/sigstore-go", "go.etcd.io/bbolt"}, "the worker proves nothing and stores nothing"},
}

// forTests are the packages that only tests may import.
var forTests = []string{"store/storetest", "verify/estate", "cmd/assay-sbom/stock"}

// coreImports is all that store may import besides the standard library and golang.org/x.
var coreImports = []string{"github.com/opencontainers/go-digest", "github.com/opencontainers/image-spec/specs-go"}

// floors are the oldest versions without known holes; a lower one must never come back.
var floors = map[string]string{
	"github.com/sigstore/cosign/v2": "v2.6.3", "github.com/theupdateframework/go-tuf/v2": "v2.4.1", "github.com/sigstore/sigstore-go": "v1.2.1",
	"github.com/open-policy-agent/opa": "v1.4.0", "github.com/anchore/syft": "v1.42.3", "github.com/go-jose/go-jose/v4": "v4.1.4", "go.etcd.io/bbolt": "v1.4.3",
}

type listed struct {
	path          string // within the module: "store/fs"
	imports, deps []string
}

func goList(t *testing.T, args ...string) string {
	t.Helper()
	cmd := exec.Command("go", append([]string{"list"}, args...)...)
	var errors strings.Builder
	cmd.Stderr = &errors
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, errors.String())
	}
	return string(out)
}

func packages(t *testing.T) []listed {
	t.Helper()
	var all []listed
	for line := range strings.Lines(goList(t, "-f", `{{.ImportPath}}|{{join .Imports " "}}|{{join .Deps " "}}`, "./...")) {
		field := strings.Split(strings.TrimSpace(line), "|")
		all = append(all, listed{strings.TrimPrefix(strings.TrimPrefix(field[0], module), "/"), strings.Fields(field[1]), strings.Fields(field[2])})
	}
	return all
}

// covers reports whether path is the package or, for a library from outside the standard one, below it.
func covers(prefix, path string) bool {
	return path == prefix || strings.Contains(prefix, ".") && strings.HasPrefix(path, strings.TrimSuffix(prefix, "/")+"/")
}

func TestImportDirections(t *testing.T) {
	for _, p := range packages(t) {
		if p.path == "" {
			continue // these tests
		}
		i := slices.IndexFunc(directions, func(r row) bool { return r.pkg == p.path })
		if i < 0 {
			t.Errorf("%s is not in the table of directions: add a row with its reason", p.path)
			continue
		}
		for _, imported := range p.imports {
			inner, ours := strings.CutPrefix(imported, module+"/")
			if ours && !slices.Contains(directions[i].may, inner) {
				t.Errorf("%s imports %s: %s", p.path, inner, directions[i].reason)
			}
		}
	}
}

func TestFolders(t *testing.T) {
	for _, p := range packages(t) {
		folders := strings.Split(p.path, "/")
		if depth := len(folders); depth > 2 && folders[0] != "cmd" || depth > 3 {
			t.Errorf("%s is too deep: two levels, and one more below a command", p.path)
		}
		for _, vague := range []string{"internal", "pkg", "util", "utils", "common", "types", "helpers", "base", "misc"} {
			if slices.Contains(folders, vague) {
				t.Errorf("%s: %q says nothing about what is inside", p.path, vague)
			}
		}
	}
}

func TestGuardedLibraries(t *testing.T) {
	for _, p := range packages(t) {
		for _, imported := range p.imports {
			for _, r := range guarded {
				if covers(r.pkg, imported) && !slices.Contains(r.may, p.path) {
					t.Errorf("%s imports %s: %s", p.path, imported, r.reason)
				}
			}
		}
		if p.path != "store" {
			continue
		}
		for _, imported := range p.imports {
			outside := strings.Contains(imported, ".") && !strings.HasPrefix(imported, "golang.org/x/")
			if outside && !slices.ContainsFunc(coreImports, func(allowed string) bool { return covers(allowed, imported) }) {
				t.Errorf("store imports %s: the core is the standard library, go-digest and image-spec", imported)
			}
		}
	}
}

func TestUnlinkedLibraries(t *testing.T) {
	for _, p := range packages(t) {
		for _, r := range unlinked {
			if r.pkg != p.path {
				continue
			}
			for _, dep := range p.deps {
				for _, banned := range r.may {
					if dep == banned || strings.HasSuffix(banned, "/") && strings.HasPrefix(dep, banned) || banned == "k8s.io/client-go" && covers(banned, dep) {
						t.Errorf("%s links %s: %s", p.path, dep, r.reason)
					}
				}
			}
		}
	}
}

// What tests are made with is linked into nothing that ships: the one can crash a disk, the other sign for anybody.
func TestTestSupportIsNotShipped(t *testing.T) {
	for _, p := range packages(t) {
		for _, dep := range p.deps {
			if inner, ours := strings.CutPrefix(dep, module+"/"); ours && slices.Contains(forTests, inner) {
				t.Errorf("%s links %s, which is for tests", p.path, inner)
			}
		}
	}
}

func TestSecurityFloors(t *testing.T) {
	args := []string{"-m", "-e", "-f", "{{.Path}} {{.Version}} {{if .Replace}}replaced{{end}}"}
	for path := range floors {
		args = append(args, path)
	}
	for line := range strings.Lines(goList(t, args...)) {
		field := strings.Fields(line)
		if len(field) < 2 {
			continue // not in the module: nothing to hold to a floor yet
		}
		if older(t, field[1], floors[field[0]]) {
			t.Errorf("%s %s is older than %s, which fixed a hole", field[0], field[1], floors[field[0]])
		}
		if len(field) > 2 {
			t.Errorf("%s is replaced: go install of a tagged version would refuse this module", field[0])
		}
	}
}

func older(t *testing.T, have, floor string) bool {
	t.Helper()
	number := func(v string) []int {
		core, _, _ := strings.Cut(strings.TrimPrefix(v, "v"), "-")
		var parts []int
		for part := range strings.SplitSeq(core, ".") {
			n, err := strconv.Atoi(part)
			if err != nil {
				t.Fatalf("version %q: %v", v, err)
			}
			parts = append(parts, n)
		}
		return parts
	}
	return slices.Compare(number(have), number(floor)) < 0
}
