package ingest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"

	"github.com/assay-registry/assay/policy/inventory"
	"github.com/assay-registry/assay/policy/proof"
	"github.com/assay-registry/assay/policy/turns"
	"github.com/assay-registry/assay/sbom"
	"github.com/assay-registry/assay/sbom/index"
	"github.com/assay-registry/assay/store"
	"github.com/assay-registry/assay/verify"
)

// MaxDocument is how large a document with its wrapping is read, in bytes: as large as evidence is taken.
const MaxDocument = 40 << 20

// checkAbout holds an unsigned document to the image: the subjects of its statement have to name the image, or an index above it, and a document that names another manifest of the
// repository is about that one. What it names otherwise (the image before it was pushed, in a form of its own) says nothing.
func checkAbout(s store.Snapshot, i store.Item, inv *sbom.Inventory, about *verify.Statement) error {
	parents := s.Parents(i.Repository, i.Digest)
	if about != nil {
		named := false
		for _, d := range append(parents, i.Digest) {
			subject := verify.Subject{Repository: i.Repository, Descriptor: store.Descriptor{Digest: d}}
			if rec, err := s.Manifest(i.Repository, d); err != nil {
				return err
			} else if rec != nil {
				subject = proof.Subject(i.Repository, rec)
			}
			named = named || about.About(subject) != nil
		}
		if !named {
			return errors.New("the statement is about another image")
		}
	}
	if d := inv.Subject; d != "" && d != i.Digest {
		for _, p := range parents {
			if p == d {
				return nil
			}
		}
		if s.Verdict(i.Repository, d).State != "" {
			return errors.New("the document says that it is about another image of the repository, " + string(d))
		}
	}
	return nil
}

// WithDocument reads the document that an image's inventory is from, in turn, and hands it to use: one may take several times its 40 MiB. Errors: CodeTooManyRequests.
func WithDocument(ctx context.Context, local *store.Local, turn *turns.Queue, name string, o index.Origin, use func(*sbom.Inventory) error) error {
	if err := turn.Take(ctx, name); err != nil {
		return err
	}
	defer turn.Leave()
	b, err := local.ReadContent(ctx, o.Document, MaxDocument)
	if err != nil {
		return err
	}
	inv, _, err := Read(b)
	if err != nil {
		return err
	}
	return use(inv)
}

// Read reads the content of a layer: a document as it is, or what a statement says, in whatever wrapping. It also returns the statement, if there is one that names subjects.
// cosign carries SPDX in tag-value form as a JSON string.
func Read(b []byte) (*sbom.Inventory, *verify.Statement, error) {
	scheme, predicate, bare := wrapping(b)
	var about *verify.Statement
	switch {
	case scheme == "":
		inv, err := sbom.Read("", b)
		return inv, nil, err
	case !bare:
		st, err := verify.StatementIn(scheme, b)
		if err != nil {
			return nil, nil, err
		}
		if !inventory.SBOMPredicate(st.PredicateType) {
			return nil, nil, errors.New("the statement holds no SBOM")
		}
		about, predicate = st, st.Predicate
	}
	var text string
	if json.Unmarshal(predicate, &text) == nil {
		predicate = []byte(text)
	}
	inv, err := sbom.Read("", predicate)
	return inv, about, err
}

// wrapping tells how a statement is wrapped; scheme is empty where there is none. BuildKit writes statements about nothing where the image has no name yet: bare is true then.
func wrapping(b []byte) (scheme verify.Scheme, predicate []byte, bare bool) {
	var kind, subjects []byte
	err := store.Members(b, func(key string, value []byte) error {
		switch key {
		case "payloadType":
			scheme = verify.SchemeDSSE
		case "dsseEnvelope":
			scheme = verify.SchemeBundle
		case "_type":
			kind = value
		case "subject":
			subjects = value
		case "predicate":
			predicate = value
		}
		return nil
	})
	switch {
	case err != nil:
		return "", nil, false
	case scheme == "" && kind != nil:
		empty := bytes.TrimSpace(subjects)
		return verify.SchemeNone, predicate, len(subjects) == 0 || string(empty) == "null" || string(bytes.Join(bytes.Fields(empty), nil)) == "[]"
	}
	return scheme, nil, false
}
