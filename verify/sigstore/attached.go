package sigstore

import (
	"bytes"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/assay-registry/assay/store"
	"github.com/assay-registry/assay/verify"
	protocommon "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	protorekor "github.com/sigstore/protobuf-specs/gen/pb-go/rekor/v1"
	"github.com/sigstore/sigstore-go/pkg/bundle"
)

// attached is what came along with a signature: parsed strictly, not yet believed.
type attached struct {
	leaf       *x509.Certificate   // nil where a key signed
	chain      []*x509.Certificate // what may have issued it; a help to find a path, no more
	entries    []*protorekor.TransparencyLogEntry
	timestamps [][]byte // RFC 3161 responses, DER
}

// readAnnotations reads what cosign writes beside a signature. The errors are sentences and repeat nothing of the annotations.
func readAnnotations(annotations map[string]string) (*attached, error) {
	a := &attached{}
	for _, name := range [...]string{verify.AnnotationCertificate, verify.AnnotationChain, verify.AnnotationRekor, verify.AnnotationTimestamp} {
		if len(annotations[name]) > verify.MaxAttached {
			return nil, fmt.Errorf("the annotation %s has more than %d KiB", name, verify.MaxAttached>>10)
		}
	}
	if text := annotations[verify.AnnotationCertificate]; text != "" {
		certificates, err := readCertificates([]byte(text), 1)
		if err != nil {
			return nil, fmt.Errorf("the annotation %s is not one certificate in PEM: %w", verify.AnnotationCertificate, err)
		}
		a.leaf = tolerated(certificates[0])
	}
	if text := annotations[verify.AnnotationChain]; strings.TrimSpace(text) != "" {
		chain, err := readCertificates([]byte(text), verify.MaxCertificates)
		if err != nil {
			return nil, fmt.Errorf("the annotation %s is not a chain of certificates in PEM: %w", verify.AnnotationChain, err)
		}
		a.chain = chain
	}
	if text := annotations[verify.AnnotationRekor]; text != "" {
		entry, err := readRekor([]byte(text))
		if err != nil {
			return nil, fmt.Errorf("the annotation %s is no log entry: %w", verify.AnnotationRekor, err)
		}
		a.entries = []*protorekor.TransparencyLogEntry{entry}
	}
	if text := annotations[verify.AnnotationTimestamp]; text != "" {
		timestamp, err := readTimestamp([]byte(text))
		if err != nil {
			return nil, fmt.Errorf("the annotation %s is no timestamp: %w", verify.AnnotationTimestamp, err)
		}
		a.timestamps = [][]byte{timestamp}
	}
	return a, nil
}

// object is store.DecodeJSON for a document that must be an object: null would decode to nothing.
func object(b []byte, v any) error {
	if len(b) > verify.MaxAttached {
		return fmt.Errorf("it has more than %d KiB", verify.MaxAttached>>10)
	}
	if trimmed := bytes.TrimLeft(b, " \t\r\n"); len(trimmed) == 0 || trimmed[0] != '{' {
		return errors.New("it is no JSON object")
	}
	if err := store.DecodeJSON(b, v); err != nil {
		return errors.New("a member is missing, twice there, or of the wrong JSON type")
	}
	return nil
}

// readRekor reads the log entry that cosign keeps beside a signature: the promise to include it (SET), and what that promise is over.
func readRekor(b []byte) (*protorekor.TransparencyLogEntry, error) {
	var doc struct {
		Promise []byte `json:"SignedEntryTimestamp"`
		Payload *struct {
			Body           *string `json:"body"`
			IntegratedTime int64   `json:"integratedTime"`
			LogIndex       int64   `json:"logIndex"`
			LogID          string  `json:"logID"`
		} `json:"Payload"`
	}
	if err := object(b, &doc); err != nil {
		return nil, err
	}
	if len(doc.Promise) == 0 || doc.Payload == nil || doc.Payload.Body == nil {
		return nil, errors.New("SignedEntryTimestamp, Payload or its body is missing")
	}
	body, err := base64.StdEncoding.DecodeString(*doc.Payload.Body)
	if err != nil {
		return nil, errors.New("its body is not base64")
	}
	id, err := hex.DecodeString(doc.Payload.LogID)
	if err != nil || len(id) == 0 || hex.EncodeToString(id) != doc.Payload.LogID {
		return nil, errors.New("its logID is not lower-case hexadecimal")
	}
	if doc.Payload.IntegratedTime <= 0 || doc.Payload.LogIndex < 0 {
		return nil, errors.New("it has no time or no index")
	}
	kind, err := entryKind(body)
	if err != nil {
		return nil, err
	}
	return &protorekor.TransparencyLogEntry{
		LogIndex: doc.Payload.LogIndex, LogId: &protocommon.LogId{KeyId: id}, KindVersion: kind, IntegratedTime: doc.Payload.IntegratedTime,
		InclusionPromise: &protorekor.InclusionPromise{SignedEntryTimestamp: doc.Promise}, CanonicalizedBody: body,
	}, nil
}

// entryKind is what the body of a log entry says that it is.
func entryKind(body []byte) (*protorekor.KindVersion, error) {
	var doc struct {
		Kind    string `json:"kind"`
		Version string `json:"apiVersion"`
	}
	if err := object(body, &doc); err != nil || doc.Kind == "" || doc.Version == "" {
		return nil, errors.New("its body is not JSON with a kind and a version")
	}
	return &protorekor.KindVersion{Kind: doc.Kind, Version: doc.Version}, nil
}

// readTimestamp reads the response of a timestamping authority that cosign keeps beside a signature.
func readTimestamp(b []byte) ([]byte, error) {
	var doc struct {
		Timestamp []byte `json:"SignedRFC3161Timestamp"`
	}
	if err := object(b, &doc); err != nil {
		return nil, err
	}
	if n := len(doc.Timestamp); n == 0 || n > verify.MaxTimestamp {
		return nil, fmt.Errorf("SignedRFC3161Timestamp has not 1 to %d bytes", verify.MaxTimestamp)
	}
	return doc.Timestamp, nil
}

// readMaterial reads what a sigstore bundle brings along. The library has checked its shape.
func readMaterial(b *bundle.Bundle, unread []*protorekor.TransparencyLogEntry) (*attached, error) {
	m := b.VerificationMaterial
	a := &attached{entries: slices.Concat(m.GetTlogEntries(), unread)}
	raw := m.GetX509CertificateChain().GetCertificates()
	if c := m.GetCertificate(); c != nil {
		raw = append(raw, c)
	}
	if len(raw) > verify.MaxCertificates || len(a.entries) > verify.MaxCertificates {
		return nil, fmt.Errorf("it has more than %d certificates or log entries", verify.MaxCertificates)
	}
	for i, c := range raw {
		parsed, err := x509.ParseCertificate(c.GetRawBytes())
		if err != nil {
			return nil, fmt.Errorf("certificate %d is not well-formed X.509", i+1)
		}
		if _, err := verify.KeyID(parsed.PublicKey); err != nil {
			return nil, fmt.Errorf("certificate %d has a key that is not taken: %s", i+1, sentence(err))
		}
		if i == 0 {
			a.leaf = tolerated(parsed)
		} else {
			a.chain = append(a.chain, parsed)
		}
	}
	if a.leaf == nil && m.GetPublicKey() == nil {
		return nil, errors.New("it has neither a certificate nor a hint of a key")
	}
	for i, e := range a.entries {
		if slices.ContainsFunc(a.entries[:i], func(o *protorekor.TransparencyLogEntry) bool {
			return o.GetLogIndex() == e.GetLogIndex() && bytes.Equal(o.GetLogId().GetKeyId(), e.GetLogId().GetKeyId())
		}) {
			return nil, errors.New("a log entry is there twice")
		}
		if len(e.GetCanonicalizedBody()) > verify.MaxAttached {
			return nil, fmt.Errorf("a log entry has more than %d KiB", verify.MaxAttached>>10)
		}
	}
	timestamps := m.GetTimestampVerificationData().GetRfc3161Timestamps()
	if len(timestamps) > verify.MaxTimestamps {
		return nil, fmt.Errorf("it has more than %d timestamps", verify.MaxTimestamps)
	}
	for _, t := range timestamps {
		if n := len(t.GetSignedTimestamp()); n == 0 || n > verify.MaxTimestamp {
			return nil, fmt.Errorf("a timestamp has not 1 to %d bytes", verify.MaxTimestamp)
		}
		a.timestamps = append(a.timestamps, t.GetSignedTimestamp())
	}
	return a, nil
}
