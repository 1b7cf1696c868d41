package policy

import (
	"context"
	"crypto"
	"io"
	"log/slog"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/assay-registry/assay/policy/access"
	"github.com/assay-registry/assay/policy/asked"
	"github.com/assay-registry/assay/policy/census"
	"github.com/assay-registry/assay/policy/contents"
	"github.com/assay-registry/assay/policy/contract"
	"github.com/assay-registry/assay/policy/decisionlog"
	"github.com/assay-registry/assay/policy/explain"
	"github.com/assay-registry/assay/policy/findings"
	"github.com/assay-registry/assay/policy/ingest"
	"github.com/assay-registry/assay/policy/inventory"
	"github.com/assay-registry/assay/policy/outbox"
	"github.com/assay-registry/assay/policy/parsed"
	"github.com/assay-registry/assay/policy/pulls"
	"github.com/assay-registry/assay/policy/turns"
	"github.com/assay-registry/assay/policy/vsa"
	"github.com/assay-registry/assay/policy/waiverkeep"
	"github.com/assay-registry/assay/sbom"
	"github.com/assay-registry/assay/store"
	"github.com/assay-registry/assay/verify"
)

// RepositoryRule says which platforms of an index may be absent in some repositories, and where else evidence about their manifests is kept. The first that
// matches counts.
type RepositoryRule struct {
	Match store.Glob
	// Sparse is "all" (every child is required: the default), "any" (none is; missing blobs are taken too) or "platforms".
	Sparse string
	// Platforms are the required ones, as os/architecture[/variant], where Sparse is "platforms".
	Platforms []string
	// EvidenceRepository is the repository whose evidence counts here, too; empty for none.
	EvidenceRepository store.Name
	NoDelete           bool // nobody deletes there
}

// optional reports whether an index may list this child without its being here.
func (r RepositoryRule) optional(m store.Descriptor) bool {
	switch r.Sparse {
	case "any":
		return true
	case "platforms":
		if m.Platform == nil {
			return false
		}
		name := m.Platform.OS + "/" + m.Platform.Architecture
		return !slices.Contains(r.Platforms, name) && !slices.Contains(r.Platforms, name+"/"+m.Platform.Variant)
	}
	return false
}

// Options are what an Admission is made of. Generator and SBOMKey may be nil: then no SBOM is made.
type Options struct {
	Local       *store.Local
	Engine      contract.Engine
	Verifier    verify.Verifier
	Authorities []verify.Authority // of the configuration; those of the store are added
	Rules       []RepositoryRule
	NoDelete    bool // nobody deletes where no rule matches
	Waivers     waiverkeep.Rules
	BreakGlass  func([]waiverkeep.View) // told which waivers of every code count or will, at the start and when that changes; may be nil
	Decisions   decisionlog.Recorder    // nil: no decision log
	LogKey      crypto.Signer           // signs the end of the audit log; nil: nobody does
	// QuarantineMax is how long content may wait for evidence, QuarantineGrace how long expired and deleted content is kept after.
	QuarantineMax   time.Duration
	QuarantineGrace time.Duration
	HeadDeny        bool // a HEAD of a quarantined manifest answers 403 to pullers
	Generator       sbom.Generator
	Formats         []sbom.Format
	SBOMKey         crypto.Signer
	Preferences     inventory.Preferences // whose SBOMs go before the registry's own
	PushWait        time.Duration         // how long the push of a tag waits for policies on contents; 0: it does not
	Inventories     ingest.Index          // nil: what images contain is not indexed
	Verdicts        vsa.Options
	Targets         []outbox.Target // of events
	Host            string          // how clients name this registry, for remedies; may be empty
	Clock           func() time.Time
	Rand            io.Reader
	Log             *slog.Logger
}

// Admission decides what may come in and what may leave. It is made once; [Admission.As] gives each principal its registry.
type Admission struct {
	*explain.Explainer // questions of people about what was decided,
	*contents.Reader   // and about what images contain

	o     Options
	local *store.Local
	log   *slog.Logger

	trustMu sync.Mutex // serializes changes of trust
	grounds atomic.Pointer[grounds]

	glass     atomic.Uint64 // verdicts that needed break glass
	glassTold string        // which waivers Options.BreakGlass was told of last; changes as trust does

	uploads sessions
	pushing turns.Waiters // pushes that wait for SBOMs
	flights turns.Flights
	images  imageCache
	pulls   *pulls.Counter
	census  *census.Counter

	enriching, ingesting turns.Pauses // pieces of their queues that failed
	recent               *asked.Memory
	outbox               *outbox.Outbox // what is to be done after decisions

	parsed   parsed.Cache
	findings *findings.Reader

	answering    *turns.Queue    // questions about contents
	reading      *turns.Queue    // SBOMs that are read for people
	packages     *ingest.Answers // to policies that ask
	draining     chan struct{}   // holds a value while somebody works the queue off
	wakeReview   chan struct{}   // something is queued, or trust changed
	wakeSBOM     chan struct{}
	wakeIngest   chan struct{}
	contentsRead turns.Bell                 // an SBOM was made, given up, or read
	describing   atomic.Pointer[store.Item] // the image that the generator works on
	wakeVSA      chan struct{}
}

// New loads the trust that the store remembers, joins it with the options', and has everything decided again that this changes.
func New(ctx context.Context, o Options) (*Admission, error) {
	o.Verifier = verify.Scoped(o.Verifier)
	a := &Admission{o: o, local: o.Local, log: o.Log, draining: make(chan struct{}, 1), wakeReview: make(chan struct{}, 1), wakeSBOM: make(chan struct{}, 1), wakeIngest: make(chan struct{}, 1), wakeVSA: make(chan struct{}, 1)}
	a.findings = findings.New(findings.Options{Local: o.Local, Indexed: o.Inventories != nil, Trust: a.Trust, Borrowed: a.borrowed, Clock: o.Clock, Log: o.Log})
	a.census = census.New(census.Options{Local: o.Local, Trust: a.Trust, Borrowed: a.borrowed, Clock: o.Clock})
	a.answering = turns.New(answers, maxAsking, maxAskingEach)
	a.reading = turns.New(readings, maxReading, maxReadingEach)
	a.packages = &ingest.Answers{Local: o.Local, Turn: turns.New(readings, math.MaxInt, math.MaxInt)} // decisions are bounded themselves
	a.uploads.clock, a.pulls, a.recent = o.Clock, pulls.New(o.Local, o.Clock), asked.New(o.Local, o.Clock)
	a.outbox = outbox.New(outbox.Options{Local: o.Local, Targets: o.Targets, Source: o.Verdicts.Verifier, Clock: o.Clock, Log: o.Log})
	about := explain.Options{Local: o.Local, Grounds: a.inForce, Borrowed: a.borrowed, Refresh: a.refresh, Findings: a.findings, Pulls: a.pulls, Patience: o.QuarantineMax, Clock: o.Clock}
	if o.Inventories != nil {
		about.Packages = a.packages
	}
	a.Explainer = explain.New(about)
	a.Reader = contents.New(contents.Options{Local: o.Local, Trust: a.Trust, Findings: a.findings, Answering: a.answering, Reading: a.reading, Refresh: a.refresh, Clock: o.Clock})
	if err := a.loadTrust(ctx); err != nil {
		return nil, err
	}
	if err := a.recent.Load(ctx); err != nil {
		return nil, err
	}
	return a, nil
}

// As is the registry as one principal sees it.
func (a *Admission) As(p access.Principal) store.Registry { return &view{a: a, p: p} }

// view is a store.Registry for one principal: a value of one request.
type view struct {
	store.Unimplemented
	a *Admission
	p access.Principal
}

var _ store.Registry = (*view)(nil)

// Census counts what the registry holds.
func (a *Admission) Census() *census.Counter { return a.census }

func (a *Admission) now() time.Time { return a.o.Clock().UTC() }

// rule is the first repository rule that matches.
func (a *Admission) rule(repo store.Name) RepositoryRule {
	for _, r := range a.o.Rules {
		if r.Match.Match(repo) {
			return r
		}
	}
	return RepositoryRule{Sparse: "all", NoDelete: a.o.NoDelete}
}

func wake(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default: // already awake
	}
}
