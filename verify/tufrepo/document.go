package tufrepo

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/secure-systems-lab/go-securesystemslib/cjson"
	"github.com/theupdateframework/go-tuf/v2/metadata"

	"github.com/assay-registry/assay/store"
)

// document is the metadata of one role: exactly one of the four is set. raw is what is stored; an edit ends with encode.
type document struct {
	role      string
	raw       []byte
	root      *metadata.Metadata[metadata.RootType]
	targets   *metadata.Metadata[metadata.TargetsType]
	snapshot  *metadata.Metadata[metadata.SnapshotType]
	timestamp *metadata.Metadata[metadata.TimestampType]
}

// head is what all roles' metadata have, to be read and written in place.
type head struct {
	version    *int64
	expires    *time.Time
	signatures *[]metadata.Signature
	signed     any // the signed part
	whole      any // what go-tuf verifies
}

func (d *document) head() head {
	switch {
	case d.root != nil:
		return head{&d.root.Signed.Version, &d.root.Signed.Expires, &d.root.Signatures, d.root.Signed, d.root}
	case d.snapshot != nil:
		return head{&d.snapshot.Signed.Version, &d.snapshot.Signed.Expires, &d.snapshot.Signatures, d.snapshot.Signed, d.snapshot}
	case d.timestamp != nil:
		return head{&d.timestamp.Signed.Version, &d.timestamp.Signed.Expires, &d.timestamp.Signatures, d.timestamp.Signed, d.timestamp}
	}
	return head{&d.targets.Signed.Version, &d.targets.Signed.Expires, &d.targets.Signatures, d.targets.Signed, d.targets}
}

func (d *document) version() int64     { return *d.head().version }
func (d *document) expires() time.Time { return *d.head().expires }

// name is the file's name under consistent snapshots.
func (d *document) name() string {
	if d.role == Timestamp {
		return "timestamp.json"
	}
	return versioned(d.role, d.version())
}

func versioned(role string, version int64) string { return fmt.Sprintf("%d.%s", version, plain(role)) }

// plain is the file's name without a version. A name with slashes, as other implementations permit, stays one file.
func plain(role string) string { return url.PathEscape(role) + ".json" }

// parse reads a role's metadata strictly: one reading of the bytes, the type that the role has, and nothing null that the library would follow. Errors: CodeInvalid.
func parse(role string, raw []byte) (*document, error) {
	if len(raw) > limitOf(role) {
		return nil, invalid("the metadata of %s has more than %d bytes, which clients do not read; delegate some of it", role, limitOf(role))
	}
	if err := store.StrictJSON(raw); err != nil {
		return nil, invalid("the metadata of %s is not read: %w", role, err)
	}
	d := &document{role: role, raw: raw}
	var err error
	switch role {
	case Root:
		d.root, err = new(metadata.Metadata[metadata.RootType]).FromBytes(raw)
	case Snapshot:
		d.snapshot, err = new(metadata.Metadata[metadata.SnapshotType]).FromBytes(raw)
	case Timestamp:
		d.timestamp, err = new(metadata.Metadata[metadata.TimestampType]).FromBytes(raw)
	default:
		d.targets, err = new(metadata.Metadata[metadata.TargetsType]).FromBytes(raw)
	}
	if err != nil {
		return nil, invalid("the metadata of %s is not read: %w", role, err)
	}
	if err := d.check(); err != nil {
		return nil, err
	}
	return d, nil
}

// check refuses what is well-formed JSON and no metadata.
func (d *document) check() error {
	absent := d.version() < 1
	switch {
	case d.root != nil:
		for _, name := range []string{Root, Targets, Snapshot, Timestamp} {
			absent = absent || d.root.Signed.Roles[name] == nil
		}
	case d.snapshot != nil:
		absent = absent || d.snapshot.Signed.Meta[Targets+".json"] == nil || holds(d.snapshot.Signed.Meta, nil)
	case d.timestamp != nil:
		absent = absent || d.timestamp.Signed.Meta[Snapshot+".json"] == nil
	default:
		absent = absent || holds(d.targets.Signed.Targets, nil)
		if del := d.targets.Signed.Delegations; del != nil && del.SuccinctRoles != nil {
			return invalid("the role %s delegates to hash bins (succinct_roles), which this program does not edit", d.role)
		}
	}
	if absent {
		return invalid("the metadata of %s is incomplete: a version below 1, or something null that must be there", d.role)
	}
	return nil
}

func holds[V comparable](m map[string]V, want V) bool {
	for _, v := range m {
		if v == want {
			return true
		}
	}
	return false
}

// encode makes raw anew after an edit. Errors: CodeInvalid where the result is larger than clients read.
func (d *document) encode() error {
	raw, err := json.MarshalIndent(d.head().whole, "", " ")
	if err != nil {
		return err
	}
	if d.raw = append(raw, '\n'); len(d.raw) > limitOf(d.role) {
		return invalid("the metadata of %s would have %d bytes, and clients read %d; delegate some of it with assay tuf delegate", d.role, len(d.raw), limitOf(d.role))
	}
	return nil
}

// next is the version after d, with no signature yet.
func (d *document) next() (*document, error) {
	n, err := parse(d.role, d.raw)
	if err != nil {
		return nil, err
	}
	*n.head().version++
	return n, nil
}

// payload is what is signed: the canonical JSON of the signed part (OLPC, TUF specification section 4.2).
func (d *document) payload() ([]byte, error) { return cjson.EncodeCanonical(d.head().signed) }

// sameContent reports whether two documents differ in their signatures at most.
func (d *document) sameContent(o *document) bool {
	a, errA := d.payload()
	b, errB := o.payload()
	return errA == nil && errB == nil && d.role == o.role && bytes.Equal(a, b)
}

// authority is who may sign a role, as its delegator says.
type authority struct {
	ids       []string
	threshold int
	keys      map[string]*metadata.Key
}

// authorityOf reads what d, a root or a targets role, says about a role that it delegates to.
func (d *document) authorityOf(role string) (authority, bool) {
	if d == nil {
		return authority{}, false
	}
	if d.root != nil {
		r := d.root.Signed.Roles[role]
		if r == nil {
			return authority{}, false
		}
		return authority{r.KeyIDs, r.Threshold, d.root.Signed.Keys}, true
	}
	if i := d.delegation(role); i >= 0 {
		del := d.targets.Signed.Delegations
		return authority{del.Roles[i].KeyIDs, del.Roles[i].Threshold, del.Keys}, true
	}
	return authority{}, false
}

// delegation is the index of a delegated role in a targets role, or -1.
func (d *document) delegation(role string) int {
	if d.targets == nil || d.targets.Signed.Delegations == nil {
		return -1
	}
	for i := range d.targets.Signed.Delegations.Roles {
		if d.targets.Signed.Delegations.Roles[i].Name == role {
			return i
		}
	}
	return -1
}

// validRole accepts names of delegated roles that are file names everywhere.
func validRole(role string) bool {
	if role == "" || len(role) > 64 || role[0] == '.' || role[0] == '-' {
		return false
	}
	return strings.Trim(role, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") == ""
}
