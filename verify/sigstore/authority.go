package sigstore

import (
	"fmt"
	"sync"

	"github.com/assay-registry/assay/store"
	"github.com/assay-registry/assay/verify"
	"github.com/sigstore/sigstore-go/pkg/root"
)

// authority is an authority of kind key, sigstore or x509, ready for use. It is immutable and may be shared.
type authority struct {
	verify.Authority
	wants      verify.Profile
	keys       []*key
	trust      *trust // nil where keys are all that is looked at
	identities []*verify.Matcher
	revoked    struct {
		keys, identities map[string]bool
		entries          map[int64]bool
	}
}

// certified reports whether the authority trusts certificates, and not keys.
func (a *authority) certified() bool { return a.Kind != verify.KindKey }

// serves reports whether an authority is this engine's business.
func serves(a verify.Authority) bool {
	return a.Kind == verify.KindKey || a.Kind == verify.KindSigstore || a.Kind == verify.KindX509
}

// prepare reads the material of an authority. The errors complete a sentence that begins with the authority's name.
func prepare(a verify.Authority) (ready *authority, err error) {
	defer func() {
		if cause := recover(); cause != nil {
			ready, err = nil, fmt.Errorf("has material on which a library failed (%v); look for damaged certificates", cause)
		}
	}()
	ready = &authority{Authority: a, wants: a.Wants()}
	ready.revoked.keys, ready.revoked.identities, ready.revoked.entries = set(a.Revoked.Keys), set(a.Revoked.Identities), set(a.Revoked.LogIndexes)
	for i, k := range a.Keys {
		loaded, err := loadKey(k)
		if err != nil {
			return nil, fmt.Errorf("has a key %d that cannot be read: %s", i+1, sentence(err))
		}
		ready.keys = append(ready.keys, loaded)
	}
	for i, identity := range a.Identities {
		m, err := identity.Compile()
		if err != nil {
			return nil, fmt.Errorf("has an identity %d that cannot be used: %s", i+1, sentence(err))
		}
		if a.Kind == verify.KindSigstore && (identity.Issuer+identity.IssuerRegexp == "" || identity.Subject+identity.SubjectRegexp == "") {
			return nil, fmt.Errorf("has an identity %d without an issuer, or without a subject; both are needed", i+1)
		}
		ready.identities = append(ready.identities, m)
	}
	return ready, ready.readTrust()
}

func set[T comparable](list []T) map[T]bool {
	all := make(map[T]bool, len(list))
	for _, v := range list {
		all[v] = true
	}
	return all
}

// readTrust reads roots, logs, timestamping authorities and revocation lists. Where the material comes from a TUF repository it may not be there yet: then nothing is trusted.
func (a *authority) readTrust() error {
	if a.Kind == verify.KindKey && a.TrustedRoot == "" && a.wants == (verify.Profile{}) {
		return nil
	}
	a.trust = &trust{logs: map[string]*root.TransparencyLog{}, ctLogs: map[string]*root.TransparencyLog{}, serials: set(a.Revoked.Serials)}
	if a.TrustedRoot != "" {
		if err := a.trust.addTrustedRoot(a.TrustedRoot, a.Kind == verify.KindSigstore); err != nil {
			return err
		}
	}
	if a.Kind != verify.KindX509 {
		return nil
	}
	if err := a.trust.addRoots(a.Roots); err != nil {
		return err
	}
	if a.TimestampRoots != "" {
		if err := a.trust.addTimestampRoots(a.TimestampRoots); err != nil {
			return err
		}
	}
	lists, err := readLists(a.CRLs, a.trust.listing())
	a.trust.lists = lists
	return err
}

// sufficient reports what the material lacks for the profile ever to be met.
func (a *authority) sufficient() error {
	if a.trust == nil || a.TrustedRoot == "" && a.Material != "" {
		return nil
	}
	names := map[string]bool{}
	for _, t := range a.trust.timestampers {
		if tsa, ok := t.(*root.SigstoreTimestampingAuthority); ok {
			names[tsa.URI] = true
		}
	}
	times := len(names)
	if a.wants.Tlog > 0 {
		times += a.trust.distinctLogs()
	}
	switch {
	case a.certified() && len(a.trust.issuers) == 0:
		return fmt.Errorf("has a trusted_root without a certificate authority, so that no certificate could count")
	case a.wants.Tlog > a.trust.distinctLogs():
		return fmt.Errorf("wants entries of %d logs and trusts %d; complete trusted_root, or lower tlog in its profile", a.wants.Tlog, a.trust.distinctLogs())
	case a.wants.Timestamps > times:
		return fmt.Errorf("wants %d trusted times and trusts %d who could give one; complete the timestamping authorities, or lower timestamps in its profile", a.wants.Timestamps, times)
	case a.wants.SCT > len(a.trust.ctLogs):
		return fmt.Errorf("wants timestamps of %d certificate logs and trusts %d; complete trusted_root, or lower sct in its profile", a.wants.SCT, len(a.trust.ctLogs))
	}
	return nil
}

// maxPrepared is how many authorities are kept ready. One takes some hundred kilobytes at most.
const maxPrepared = 256

// prepared keeps authorities ready by their revision, because reading a trusted root for each layer is dear. It changes no result.
type prepared struct {
	mu    sync.Mutex // guards the rest
	ready map[string]*authority
	order []string // the oldest first
}

// get prepares an authority, or finds it.
func (p *prepared) get(a verify.Authority, good *memo) (*authority, error) {
	revision := a.Revision()
	p.mu.Lock()
	found := p.ready[revision]
	p.mu.Unlock()
	if found != nil {
		return found, nil
	}
	ready, err := prepare(a)
	if err != nil {
		return nil, err
	}
	for _, k := range ready.keys {
		k.memo = good
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ready == nil {
		p.ready = map[string]*authority{}
	}
	if p.ready[revision] == nil {
		p.order = append(p.order, revision)
	}
	p.ready[revision] = ready
	if len(p.order) > maxPrepared {
		delete(p.ready, p.order[0])
		p.order = append([]string(nil), p.order[1:]...)
	}
	return ready, nil
}

// Check is [verify.Verifier]: the keys, roots, logs, revocation lists and identities of an authority of kind key, sigstore or x509 can be read, and suffice for its
// profile. Others are not this engine's business.
func (v *Verifier) Check(a verify.Authority) error {
	if !serves(a) {
		return nil
	}
	ready, err := prepare(a)
	if err == nil {
		err = ready.sufficient()
	}
	if err != nil {
		return store.Errorf(store.CodeInvalid, "authority %s %s", a.Name, sentence(err))
	}
	return nil
}

// load readies the authorities that cover repo.
func (v *Verifier) load(all []verify.Authority, repo store.Name) ([]*authority, error) {
	var trusted []*authority
	for _, a := range all {
		if !serves(a) || !a.Covers(repo) {
			continue
		}
		ready, err := v.prepared.get(a, &v.memo)
		if err != nil {
			return nil, store.Errorf(store.CodeInternal, "authority %s %s", a.Name, sentence(err))
		}
		trusted = append(trusted, ready)
	}
	return trusted, nil
}
