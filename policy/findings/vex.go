package findings

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/assay-registry/assay/policy/contract"
	"github.com/assay-registry/assay/policy/sentence"
	"github.com/assay-registry/assay/policy/trust"
	"github.com/assay-registry/assay/sbom/finding"
	"github.com/assay-registry/assay/sbom/vex"
	"github.com/assay-registry/assay/store"
	"github.com/assay-registry/assay/verify"
)

// Spoken reports whether a fact is a statement about exploitability that is proven: a document that nobody signed is none. Whose word never counts: the registry's own, and a TUF repository's, which pins and does not vouch.
func Spoken(f verify.Fact) bool {
	if !f.Verified || f.Authority == "" || f.Authority == verify.ReservedAuthority || f.Scheme == verify.SchemeTUF {
		return false
	}
	return f.Kind == verify.KindAttestation && f.Scope != verify.AttestsSBOM && (verify.VEXPredicate(f.PredicateType) || strings.HasPrefix(f.PredicateType, "https://cyclonedx.org/"))
}

// maxVEX is how large a document of statements is read: 8 MiB. It is read again whenever it was forgotten.
const maxVEX = 8 << 20

// maxVEXAhead is how far the clock of who states something may be ahead. What excuses from a later day on does not count yet: no word of its signer's could take it back, for the newest one decides.
const maxVEXAhead = 24 * time.Hour

// statements are what authorities say about the exploitability of vulnerabilities in an image. The one that the configuration names first is trusted most; those that were added at
// run time follow. What cannot be read says nothing, with a warning.
func (r *Reader) statements(ctx context.Context, m *Image) ([]vex.Statement, error) {
	var all []vex.Statement
	latest := r.o.Clock().UTC().Add(maxVEXAhead)
	for _, f := range m.Facts {
		if !Spoken(f) {
			continue
		}
		list, err := r.vex(ctx, f)
		if store.CodeOf(err) == store.CodeUnavailable || ctx.Err() != nil {
			return nil, err
		}
		if err != nil {
			r.o.Log.Warn("a VEX document cannot be read", "repository", m.Repository, "evidence", f.Evidence, "reason", err.Error())
			continue
		}
		rank := slices.IndexFunc(m.Authorities, func(au trust.Authority) bool { return au.Name == f.Authority })
		if rank < 0 {
			continue
		}
		for _, s := range list { // copies: the list is kept
			s.Rank, s.Authority, s.Evidence = rank, f.Authority, f.Evidence
			if s.Timestamp.IsZero() {
				s.Timestamp = f.SignedAt
			}
			if (s.Status == vex.NotAffected || s.Status == vex.Fixed) && s.Timestamp.After(latest) {
				continue
			}
			if len(s.Products) == 0 { // it is about what it is attested of
				s.Products = []vex.Product{{Digests: []store.Digest{m.Digest}}}
			}
			all = append(all, s)
		}
	}
	return all, nil
}

// vex reads the statements of a document that was proven, from memory if it was read lately.
func (r *Reader) vex(ctx context.Context, f verify.Fact) ([]vex.Statement, error) {
	if list, ok := r.spoken.get(f.Layer); ok {
		return list, nil
	}
	b, err := r.o.Local.ReadContent(ctx, f.Layer, maxVEX)
	if err != nil {
		return nil, err
	}
	st, err := verify.StatementIn(f.Scheme, b)
	if err != nil {
		return nil, err
	}
	if strings.HasPrefix(f.PredicateType, "https://cyclonedx.org/") && !mayAnalyse(st.Predicate) {
		r.spoken.put(f.Layer, nil, 0)
		return nil, nil // an SBOM as most are
	}
	list, err := vex.Parse("", st.Predicate)
	if err == nil {
		r.spoken.put(f.Layer, list, len(b))
	}
	return list, err
}

// mayAnalyse reports whether a CycloneDX document has vulnerabilities with an analysis: an SBOM in XML, or without, says nothing about them.
func mayAnalyse(b []byte) bool {
	var doc struct {
		Vulnerabilities json.RawMessage `json:"vulnerabilities"`
	}
	return json.Unmarshal(b, &doc) == nil && len(doc.Vulnerabilities) > 2
}

// spoken remembers the statements of documents. Content never changes under its digest.
type spoken struct {
	mu    sync.Mutex
	m     map[store.Digest][]vex.Statement
	bytes int // of the documents
}

const (
	maxSpoken      = 1024
	maxSpokenBytes = 16 << 20
)

func (s *spoken) get(d store.Digest) ([]vex.Statement, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	list, ok := s.m[d]
	return list, ok
}

func (s *spoken) put(d store.Digest, list []vex.Statement, size int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.m == nil || len(s.m) >= maxSpoken || s.bytes+size > maxSpokenBytes {
		s.m, s.bytes = map[store.Digest][]vex.Statement{}, 0
	}
	s.m[d] = list
	s.bytes += size
}

// apply marks findings with the statement that decides about each, and lists what each authority says, the most trusted first.
func apply(m *Image, list []finding.Finding, statements []vex.Statement) [][]contract.VEXInput {
	said := make([][]contract.VEXInput, len(list))
	if len(statements) == 0 || len(list) == 0 {
		return said
	}
	finding.Suppress(m.Item, m.Parents, list, statements)
	ranks := map[int][]vex.Statement{}
	for _, s := range statements {
		ranks[s.Rank] = append(ranks[s.Rank], s)
	}
	order := make([]int, 0, len(ranks))
	for rank := range ranks {
		order = append(order, rank)
	}
	slices.Sort(order)
	for _, rank := range order {
		alone := slices.Clone(list)
		for n := range alone {
			alone[n].VEX = nil
		}
		finding.Suppress(m.Item, m.Parents, alone, ranks[rank])
		for n := range alone {
			if v := alone[n].VEX; v != nil {
				said[n] = append(said[n], vexInput(v))
			}
		}
	}
	return said
}

func vexInput(v *finding.Applied) contract.VEXInput {
	in := contract.VEXInput{Authority: v.Authority, Status: string(v.Status), Suppresses: v.Suppressed, Reason: sentence.Clip(v.Justification, sentence.Max), Evidence: v.Evidence}
	if in.Reason == "" {
		in.Reason = sentence.Clip(v.Impact, sentence.Max)
	}
	if !v.Timestamp.IsZero() {
		in.At = v.Timestamp.UTC().Format("2006-01-02T15:04:05Z07:00")
	}
	return in
}
