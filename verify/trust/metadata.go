package trust

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/sha512"
	"fmt"
	"strings"
	"time"

	"github.com/assay-registry/assay/store"
	"github.com/assay-registry/assay/verify"
	"github.com/theupdateframework/go-tuf/v2/metadata"
)

// The algorithms of hashes that are known. Where a target has others too, those are not looked at; where it has no known one, it is refused. (Of metadata, the library refuses hashes of any other algorithm.)
const (
	algorithmSHA256 = "sha256"
	algorithmSHA512 = "sha512"
)

// guarded runs what calls the library: a panic inside it costs the metadata at hand, not the process.
func guarded(role string, fn func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = failf(ErrMalformed, role, "%s made the TUF library fail: %v", label(role), p)
		}
	}()
	return fn()
}

// parse reads one metadata file strictly: one JSON document that every parser reads alike, of the role's type, with all that the specification asks for (section 4). The
// state machine of the library reads the same bytes again, later: here is what it takes for granted, and dereferences.
func parse[T metadata.Roles](role string, b []byte, check func(*T) error) (*metadata.Metadata[T], error) {
	if err := store.StrictJSON(b); err != nil {
		return nil, failf(ErrMalformed, role, "%s is malformed: %w", label(role), err)
	}
	if n := bytes.Count(b, []byte(",")) + bytes.Count(b, []byte("[")) + bytes.Count(b, []byte("{")); n > 1000+len(b)/8 {
		return nil, failf(ErrTooMany, role, "%s has %d bytes and some %d values, which no metadata has", label(role), len(b), n) // each costs many times its bytes in memory
	}
	parsed := &metadata.Metadata[T]{}
	err := guarded(role, func() error {
		if _, err := parsed.FromBytes(b); err != nil {
			return err
		}
		if n := len(parsed.Signatures); n > MaxSignatures {
			return failf(ErrTooMany, role, "%s has %d signatures; at most %d are read", label(role), n, MaxSignatures)
		}
		return check(&parsed.Signed)
	})
	if err != nil {
		return nil, refused(role, err)
	}
	return parsed, nil
}

func parseRoot(b []byte) (*metadata.Metadata[metadata.RootType], error) {
	return parse(metadata.ROOT, b, func(r *metadata.RootType) error {
		if err := checkHead(r.SpecVersion, r.Version, r.Expires); err != nil {
			return err
		}
		if err := checkKeys(r.Keys); err != nil {
			return err
		}
		for _, name := range metadata.TOP_LEVEL_ROLE_NAMES {
			role := r.Roles[name]
			if role == nil {
				return fmt.Errorf("it does not say who may sign %s.json", name)
			}
			if err := checkSigners(name, role.KeyIDs, role.Threshold, r.Keys); err != nil {
				return err
			}
		}
		return nil
	})
}

func parseTimestamp(b []byte) (*metadata.Metadata[metadata.TimestampType], error) {
	return parse(metadata.TIMESTAMP, b, func(t *metadata.TimestampType) error {
		if t.Meta["snapshot.json"] == nil || len(t.Meta) != 1 {
			return fmt.Errorf("it names %d files instead of snapshot.json alone", len(t.Meta))
		}
		return checkHead(t.SpecVersion, t.Version, t.Expires, t.Meta)
	})
}

func parseSnapshot(b []byte) (*metadata.Metadata[metadata.SnapshotType], error) {
	return parse(metadata.SNAPSHOT, b, func(s *metadata.SnapshotType) error {
		if s.Meta["targets.json"] == nil {
			return fmt.Errorf("it does not name targets.json")
		}
		return checkHead(s.SpecVersion, s.Version, s.Expires, s.Meta)
	})
}

func parseTargets(role string, b []byte) (*metadata.Metadata[metadata.TargetsType], error) {
	return parse(role, b, func(t *metadata.TargetsType) error {
		if err := checkHead(t.SpecVersion, t.Version, t.Expires); err != nil {
			return err
		}
		for name, file := range t.Targets {
			if file == nil || file.Length < 0 {
				return fmt.Errorf("its target %q has no length", cut(name))
			}
			if err := checkHashes(file.Hashes); err != nil {
				return fmt.Errorf("its target %q: %w", cut(name), err)
			}
		}
		return checkDelegations(t.Delegations)
	})
}

func cut(s string) string {
	if len(s) > 120 {
		return s[:120]
	}
	return s
}

// checkHead checks what all metadata has: a version of the specification that is 1, a version from 1 on, an end; and the files that it names.
func checkHead(specification string, version int64, expires time.Time, named ...map[string]*metadata.MetaFiles) error {
	switch {
	case specification != "1" && !strings.HasPrefix(specification, "1."):
		return fmt.Errorf("it follows version %q of the specification and not 1", cut(specification))
	case version < 1:
		return fmt.Errorf("it has the version %d; versions begin with 1", version)
	case expires.IsZero():
		return fmt.Errorf("it does not say when it expires")
	}
	for _, files := range named {
		for name, file := range files {
			if file == nil || file.Version < 1 || file.Length < 0 {
				return fmt.Errorf("what it says about %q has no version or a wrong length", cut(name))
			}
			if err := checkHashes(file.Hashes); err != nil {
				return fmt.Errorf("what it says about %q: %w", cut(name), err)
			}
		}
	}
	return nil
}

func checkHashes(hashes metadata.Hashes) error {
	for algorithm, hash := range hashes {
		if algorithm == algorithmSHA256 && len(hash) != sha256.Size || algorithm == algorithmSHA512 && len(hash) != sha512.Size {
			return fmt.Errorf("a %s hash has %d bytes", algorithm, len(hash))
		}
	}
	return nil
}

// checkKeys checks the strength of keys whose type is known. One of another type signs nothing, and is not looked at before somebody relies on it.
func checkKeys(keys map[string]*metadata.Key) error {
	if len(keys) > MaxKeys {
		return &Error{Kind: ErrTooMany, Message: fmt.Sprintf("it has %d keys; at most %d are taken", len(keys), MaxKeys)}
	}
	for id, key := range keys {
		if key == nil {
			return fmt.Errorf("its key %q is null", cut(id))
		}
		switch key.Type {
		case metadata.KeyTypeEd25519:
			if len(key.Value.PublicKey) != 2*ed25519.PublicKeySize {
				return fmt.Errorf("its key %q is no Ed25519 key", cut(id))
			}
		case metadata.KeyTypeECDSA_SHA2_P256, metadata.KeyTypeECDSA_SHA2_P256_COMPAT, metadata.KeyTypeRSASSA_PSS_SHA256:
		default:
			continue
		}
		public, err := key.ToPublicKey()
		if err != nil {
			return fmt.Errorf("its key %q cannot be read: %w", cut(id), err)
		}
		if _, err := verify.KeyID(public); err != nil {
			return fmt.Errorf("its key %q is refused: %w", cut(id), err)
		}
	}
	return nil
}

// checkSigners checks who may sign a role (section 4.3: a threshold of at least 1, key IDs that are unique). A threshold that cannot be met is somebody's mistake about that
// role alone, and shows when it is verified.
func checkSigners(role string, ids []string, threshold int, keys map[string]*metadata.Key) error {
	if threshold < 1 {
		return &Error{Kind: ErrThreshold, Message: fmt.Sprintf("it asks for %d signatures on the role %q; a threshold is at least 1", threshold, cut(role))}
	}
	seen := map[string]bool{}
	for _, id := range ids {
		if seen[id] {
			return fmt.Errorf("it names the key %q twice for the role %q", cut(id), cut(role))
		}
		if keys[id] == nil {
			return fmt.Errorf("it lets the key %q sign the role %q and does not have it", cut(id), cut(role))
		}
		seen[id] = true
	}
	return nil
}

func checkDelegations(d *metadata.Delegations) error {
	if d == nil {
		return nil
	}
	if err := checkKeys(d.Keys); err != nil {
		return err
	}
	if s := d.SuccinctRoles; s != nil {
		if d.Roles != nil {
			return fmt.Errorf("it delegates to roles and to succinct_roles; one of them is allowed")
		}
		if len(s.NamePrefix) > MaxName {
			return fmt.Errorf("it delegates to hash bins whose names begin with more than %d bytes", MaxName)
		}
		return checkSigners(s.NamePrefix, s.KeyIDs, s.Threshold, d.Keys)
	}
	seen := map[string]bool{metadata.ROOT: true, metadata.TIMESTAMP: true, metadata.SNAPSHOT: true, metadata.TARGETS: true}
	for _, r := range d.Roles {
		switch {
		case r.Name == "" || len(r.Name) > MaxName:
			return fmt.Errorf("it delegates to a role whose name is empty or has more than %d bytes", MaxName)
		case seen[r.Name]:
			return fmt.Errorf("it delegates to the role %q twice, or that is a top-level role", cut(r.Name))
		case r.Paths != nil && r.PathHashPrefixes != nil:
			return fmt.Errorf("it delegates to the role %q by paths and by path_hash_prefixes; one of them is allowed", cut(r.Name))
		}
		seen[r.Name] = true
		if err := checkSigners(r.Name, r.KeyIDs, r.Threshold, d.Keys); err != nil {
			return err
		}
		for _, pattern := range append(r.Paths, r.PathHashPrefixes...) {
			if len(pattern) > MaxName {
				return fmt.Errorf("a pattern of the role %q has more than %d bytes", cut(r.Name), MaxName)
			}
		}
	}
	return nil
}
