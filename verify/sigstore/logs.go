package sigstore

import (
	"bytes"
	"context"
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"slices"
	"time"

	"github.com/assay-registry/assay/verify"
	protorekor "github.com/sigstore/protobuf-specs/gen/pb-go/rekor/v1"
	"github.com/sigstore/sigstore-go/pkg/tlog"
	engine "github.com/sigstore/sigstore-go/pkg/verify"
)

// seen is a moment at which somebody who is trusted saw the signature.
type seen struct {
	at     time.Time
	source verify.TimeSource
}

// logged is a signature with a log entry as cosign writes it into a layer's annotations, of a kind that sigstore-go does not read.
type logged struct {
	envelope    []byte              // the layer: a DSSE envelope with one signature, already read by verify.ParseEnvelope
	sig         []byte              // that signature, already verified with the signer's key
	certificate *x509.Certificate   // the leaf; nil where a key signed
	chain       []*x509.Certificate // what came along: not trusted
	key         *key                // nil where a certificate signed
	entry       rekorAnnotation
	annotations map[string]string // the layer's, as they stand
}

// rekorAnnotation is the annotation verify.AnnotationRekor, decoded.
type rekorAnnotation struct {
	promise, body         []byte // the SET; the canonical body of the entry
	integratedTime, index int64
	logID                 []byte
}

// logProof is what the logs prove of a signature.
type logProof struct {
	entries []verify.LogEntry
	times   []seen
	// failure says why an entry proves nothing; wrong is one that speaks of something else, which no other entry makes good.
	failure, wrong *refusal
}

// logs proves the entries that came along, at most one for each log.
func (v *Verifier) logs(ctx context.Context, t *trust, c *claim, m *maker, a *attached) logProof {
	var p logProof
	for _, e := range a.entries {
		if p.wrong != nil {
			break
		}
		id := hex.EncodeToString(e.GetLogId().GetKeyId())
		if _, known := t.logs[id]; !known {
			p.fail(refused(verify.CodeNoLog, "The log entry is in the log %s, which the authority does not trust; complete its trusted_root, or sign with its log.", short(id)))
			continue
		}
		proven, r := v.entry(ctx, t, c, m, a, e)
		switch {
		case r == nil && slices.ContainsFunc(p.entries, func(l verify.LogEntry) bool { return t.sameLog(l.Log, id) }):
		case r == nil:
			p.entries = append(p.entries, *proven)
			if !proven.At.IsZero() {
				p.times = append(p.times, seen{proven.At, verify.TimeRekor})
			}
		case r.code == verify.CodeNoLog || r.code == verify.CodeUnsupported:
			p.fail(r)
		default:
			p.wrong = r
		}
	}
	return p
}

func (p *logProof) fail(r *refusal) {
	if p.failure == nil || r.code.Tells(p.failure.code) {
		p.failure = r
	}
}

// entry proves one entry of a log that is trusted.
func (v *Verifier) entry(ctx context.Context, t *trust, c *claim, m *maker, a *attached, e *protorekor.TransparencyLogEntry) (*verify.LogEntry, *refusal) {
	if !engineReads(e.GetKindVersion()) {
		return v.foreign(ctx, t, c, m, a, e)
	}
	entry, err := tlog.ParseTransparencyLogEntry(e)
	if err != nil {
		return nil, refused(verify.CodeMalformed, "The log entry does not parse as the kind %s that it claims; sign again.", printable(e.GetKindVersion().GetKind()))
	}
	if r := m.about(c, entry); r != nil {
		return nil, r
	}
	if at := entry.IntegratedTime(); entry.HasInclusionPromise() && m.leaf != nil && (at.Before(m.leaf.NotBefore) || at.After(m.leaf.NotAfter)) {
		return nil, expired(m.leaf, at)
	}
	content, err := m.content(c, entry)
	if err != nil {
		return nil, refused(verify.CodeMalformed, "The envelope does not parse as the type that it claims; sign again.")
	}
	shown := &entity{signer: m.signer(), content: content, entries: []*tlog.Entry{entry}}
	times, err := engine.VerifyTlogEntry(shown, m.trusting(t), 1, true)
	if err != nil {
		return nil, refused(verify.CodeNoLog, "The log %s did not sign this entry: its promise or proof of inclusion does not verify; sign again.", short(hex.EncodeToString(e.GetLogId().GetKeyId())))
	}
	proven := &verify.LogEntry{Log: hex.EncodeToString(e.GetLogId().GetKeyId()), Index: entry.LogIndex()}
	if len(times) > 0 {
		proven.At = times[0].Time.UTC()
	} else if !entry.IsRekorV2() {
		proven.Index = e.GetInclusionProof().GetLogIndex() // the other one nobody signed
	}
	return proven, nil
}

// engineReads reports whether sigstore-go reads entries of a kind.
func engineReads(k *protorekor.KindVersion) bool {
	switch k.GetKind() + " " + k.GetVersion() {
	case "hashedrekord 0.0.1", "hashedrekord 0.0.2", "dsse 0.0.1", "intoto 0.0.2":
		return true
	}
	return false
}

// foreign proves an entry that sigstore-go does not read, or gives it to the other engine, in the forms in which such entries exist.
func (v *Verifier) foreign(ctx context.Context, t *trust, c *claim, m *maker, a *attached, e *protorekor.TransparencyLogEntry) (*verify.LogEntry, *refusal) {
	if k := e.GetKindVersion(); c.bundle != nil && c.envelope != nil && k.GetKind() == "dsse" && k.GetVersion() == "0.0.2" {
		return m.tilesEntry(t, c, e)
	}
	if c.layer == nil || c.envelope == nil || len(c.signatures) != 1 || len(e.GetInclusionPromise().GetSignedEntryTimestamp()) == 0 {
		return nil, refused(verify.CodeUnsupported, "The log entry is of kind %s %s, which is not verified in this form; sign again with a current cosign.",
			printable(e.GetKindVersion().GetKind()), printable(e.GetKindVersion().GetVersion()))
	}
	proven, r := v.second(ctx, m.trusting(t), &logged{
		envelope: c.layer.Bytes, sig: m.sig, certificate: m.leaf, chain: a.chain, key: m.key, annotations: c.layer.Annotations,
		entry: rekorAnnotation{
			promise: e.GetInclusionPromise().GetSignedEntryTimestamp(), body: e.GetCanonicalizedBody(), integratedTime: e.GetIntegratedTime(), index: e.GetLogIndex(), logID: e.GetLogId().GetKeyId(),
		},
	})
	if r != nil {
		return nil, r
	}
	if at := proven.At; m.leaf != nil && (at.Before(m.leaf.NotBefore) || at.After(m.leaf.NotAfter)) {
		return nil, expired(m.leaf, at)
	}
	return &proven, nil
}

// about compares an entry with the signature: it names the same signature, the same signer and the same content. The library compares most of this too, but not for every
// combination of entry and checkpoint.
func (m *maker) about(c *claim, e *tlog.Entry) *refusal {
	switch {
	case !bytes.Equal(e.Signature(), m.sig):
		return refused(verify.CodeLogMismatch, "The log entry is about another signature than the one beside it; attach the entry that belongs to it, or sign again.")
	case !m.signer().CompareKey(e.PublicKey(), nil):
		return refused(verify.CodeLogMismatch, "The log entry is about another key or certificate than the one that signed; attach the entry that belongs to it, or sign again.")
	case !c.logged(e):
		return refused(verify.CodeLogMismatch, "The log entry is about another artifact than the signature; attach the entry that belongs to it, or sign again.")
	}
	return nil
}

// logged reports whether an entry is about what the claim signs: the digest of the signed message, or of an envelope's payload.
func (c *claim) logged(e *tlog.Entry) bool {
	if sum, algorithm, ok := e.GetHashedRekordDigest(); ok {
		return len(sum) > 0 && (c.envelope == nil || e.IsRekorV2()) && bytes.Equal(sum, c.message.sum(hashNamed(algorithm)))
	}
	sum, ok := e.GetDssePayloadHash()
	if !ok || c.envelope == nil {
		return false
	}
	payload := sha256.Sum256(c.envelope.Payload)
	return bytes.Equal(sum, payload[:])
}

// hashNamed is a hash by its name in a log entry; 0 where it is none of ours.
func hashNamed(s string) crypto.Hash {
	switch s {
	case "sha256", "SHA2_256":
		return crypto.SHA256
	case "sha384", "SHA2_384":
		return crypto.SHA384
	case "sha512", "SHA2_512":
		return crypto.SHA512
	}
	return 0
}

// retire drops entries that carry no time of their own (a proof of inclusion alone) in logs that did not count when the signature was seen: the library asks for a log's window
// only where the log itself says when.
func (p *logProof) retire(t *trust) {
	p.entries = slices.DeleteFunc(p.entries, func(l verify.LogEntry) bool {
		log := t.logs[l.Log]
		outside := func(s seen) bool {
			return !log.ValidityPeriodStart.IsZero() && s.at.Before(log.ValidityPeriodStart) || !log.ValidityPeriodEnd.IsZero() && s.at.After(log.ValidityPeriodEnd)
		}
		if !l.At.IsZero() || !slices.ContainsFunc(p.times, outside) {
			return false
		}
		p.fail(refused(verify.CodeNoLog, "The log %s counts from %s to %s, and the signature was made at another time; sign with a log that counts.", short(l.Log), instant(log.ValidityPeriodStart), instant(log.ValidityPeriodEnd)))
		return true
	})
}

// short keeps an ID readable in a sentence.
func short(id string) string {
	if len(id) > 16 {
		return id[:16] + "…"
	}
	return id
}
