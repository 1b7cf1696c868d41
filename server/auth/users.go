package auth

import (
	"bytes"
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"io"
	"log/slog"
	"slices"
	"time"

	"golang.org/x/crypto/bcrypt"

	"github.com/assay-registry/assay/policy"
	"github.com/assay-registry/assay/policy/access"
	"github.com/assay-registry/assay/store"
)

// Docs keeps small documents, durably: store.Local does. A nil return of PutDoc and DeleteDoc means durable; deleting what is not there
// succeeds.
type Docs interface {
	Docs(ctx context.Context, class string) (map[string][]byte, error)
	PutDoc(ctx context.Context, class, name string, value []byte) error
	DeleteDoc(ctx context.Context, class, name string) error
}

// ClassUser is the class of the documents that are users.
const ClassUser = "user"

// BootstrapName is the user that [Authenticator.Bootstrap] creates.
const BootstrapName = "admin"

// document is a user as it is kept.
type document struct {
	Hash    string          `json:"hash"`
	Grants  []documentGrant `json:"grants"`
	Created time.Time       `json:"created"`
	By      string          `json:"by,omitempty"`
}

type documentGrant struct {
	Repositories store.Globs `json:"repositories"`
	Roles        []string    `json:"roles"`
}

// documents reads the users that are kept. One that cannot be read is left out and logged: it can log in no more.
func (d *directory) documents(ctx context.Context) ([]*account, error) {
	if d.docs == nil {
		return nil, nil
	}
	docs, err := d.docs.Docs(ctx, ClassUser)
	if err != nil {
		return nil, &store.Error{Code: store.CodeUnavailable, Message: "the users cannot be read at the moment", Cause: err}
	}
	accounts := make([]*account, 0, len(docs))
	for name, value := range docs {
		a, err := readDocument(name, value)
		if err != nil {
			d.log.Error("a user's document cannot be read; the user is locked out", slog.String("user", name))
			continue
		}
		accounts = append(accounts, a)
	}
	return accounts, nil
}

func readDocument(name string, value []byte) (*account, error) {
	var doc document
	dec := json.NewDecoder(bytes.NewReader(value))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&doc); err != nil {
		return nil, err
	}
	if _, err := costOf(doc.Hash); err != nil {
		return nil, err
	}
	a := &account{name: name, hash: doc.Hash, origin: access.OriginRuntime}
	for _, g := range doc.Grants {
		grant := access.Grant{Who: name, Repositories: g.Repositories}
		for _, r := range g.Roles {
			role, ok := access.ParseRole(r)
			if !ok {
				return nil, store.Errorf(store.CodeInvalid, "there is no role %q", r)
			}
			grant.Roles |= role
		}
		a.own = append(a.own, grant)
	}
	return a, nil
}

// Users lists all users in the order of their names.
func (a *Authenticator) Users(ctx context.Context) ([]access.User, error) {
	s, err := a.directory.current(ctx)
	if err != nil {
		return nil, err
	}
	users := make([]access.User, 0, len(s.accounts))
	for _, acct := range s.accounts {
		u := access.User{Name: acct.name, Origin: acct.origin}
		for _, g := range acct.grants[:len(acct.grants)-len(s.anonymous)] {
			g.Who = acct.name
			u.Grants = append(u.Grants, g)
		}
		users = append(users, u)
	}
	slices.SortFunc(users, func(x, y access.User) int { return cmp.Compare(x.Name, y.Name) })
	return users, nil
}

// CreateUser makes a user and answers the secret that it made, where password is empty. by names who asked.
// Errors: CodeConflict for a name in use, CodeInvalid, CodeUnsupported where there are no documents.
func (a *Authenticator) CreateUser(ctx context.Context, by, name, password string, grants []access.Grant) (secret string, err error) {
	if !validUserName(name) || !plain(name) {
		return "", store.Errorf(store.CodeInvalid, "a user name has 1 to %d printable characters without spaces, quotes and ':'", maxUserName)
	}
	if password != "" && (len(password) < 8 || len(password) > maxPassword) {
		return "", store.Errorf(store.CodeInvalid, "a password has 8 to %d bytes; leave it out to have one made", maxPassword)
	}
	if len(grants) > maxGrants {
		return "", store.Errorf(store.CodeInvalid, "a user has at most %d grants", maxGrants)
	}
	a.users.Lock()
	defer a.users.Unlock()
	s, err := a.directory.reload(ctx, false)
	if err != nil {
		return "", err
	}
	if _, ok := s.accounts[name]; ok {
		return "", store.Errorf(store.CodeConflict, "the user %s exists; delete it first to make it anew", name)
	}
	return a.create(ctx, by, name, password, grants)
}

// maxGrants bounds what one user's document holds.
const maxGrants = 64

// create writes the document; a.users is held.
func (a *Authenticator) create(ctx context.Context, by, name, password string, grants []access.Grant) (string, error) {
	if a.options.Docs == nil {
		return "", store.Errorf(store.CodeUnsupported, "this registry keeps no users of its own; add the user to the htpasswd file")
	}
	secret := ""
	if password == "" {
		random := make([]byte, 32)
		if _, err := io.ReadFull(a.options.Rand, random); err != nil {
			return "", &store.Error{Code: store.CodeInternal, Message: "a secret could not be made", Cause: err}
		}
		secret = base64.RawURLEncoding.EncodeToString(random)
		password = secret
	}
	hash, err := bcrypt.GenerateFromPassword([]byte(password), a.options.Cost)
	if err != nil {
		return "", &store.Error{Code: store.CodeInternal, Message: "the password could not be hashed", Cause: err}
	}
	doc := document{Hash: string(hash), Created: a.options.Clock().UTC(), By: by, Grants: []documentGrant{}}
	for _, g := range grants {
		doc.Grants = append(doc.Grants, documentGrant{Repositories: g.Repositories, Roles: g.Roles.Names()})
	}
	value, err := json.Marshal(doc)
	if err != nil {
		return "", &store.Error{Code: store.CodeInternal, Message: "the user could not be written", Cause: err}
	}
	if err := a.audit(ctx, by, "created user "+name); err != nil {
		return "", err
	}
	if err := a.options.Docs.PutDoc(ctx, ClassUser, name, value); err != nil {
		return "", err
	}
	_, err = a.directory.reload(ctx, false)
	return secret, err
}

// DeleteUser removes a user; its tokens stop with it. Errors: CodeNotFound, CodeConflict for a user of the htpasswd file or for oneself.
func (a *Authenticator) DeleteUser(ctx context.Context, by, name string) error {
	a.users.Lock()
	defer a.users.Unlock()
	s, err := a.directory.reload(ctx, false)
	if err != nil {
		return err
	}
	acct, ok := s.accounts[name]
	switch {
	case !ok:
		return store.Errorf(store.CodeNotFound, "there is no such user")
	case acct.origin != access.OriginRuntime:
		return store.Errorf(store.CodeConflict, "the user %s comes from the htpasswd file; remove it there", name)
	case name == by:
		return store.Errorf(store.CodeConflict, "you cannot delete the user that you are logged in as; use another administrator")
	}
	if err := a.audit(ctx, by, "deleted user "+name); err != nil {
		return err
	}
	if err := a.options.Docs.DeleteDoc(ctx, ClassUser, name); err != nil {
		return err
	}
	_, err = a.directory.reload(ctx, false)
	return err
}

func (a *Authenticator) audit(ctx context.Context, by, reason string) error {
	a.options.Log.Info("user changed", slog.String("by", by), slog.String("change", reason))
	if a.options.Audit == nil {
		return nil
	}
	return a.options.Audit(ctx, policy.AuditRecord{At: a.options.Clock().UTC(), Actor: by, Action: "user", Reason: reason})
}

// Bootstrap makes the first administrator, where there is no user at all, and answers its secret once: only the hash is kept.
// Both answers are empty where somebody exists.
func (a *Authenticator) Bootstrap(ctx context.Context) (name, secret string, err error) {
	a.users.Lock()
	defer a.users.Unlock()
	s, err := a.directory.reload(ctx, false)
	if err != nil {
		return "", "", err
	}
	if len(s.accounts) > 0 || a.options.Docs == nil {
		return "", "", nil
	}
	everything := []access.Grant{{Repositories: store.Globs{"**"}, Roles: access.RoleAdmin}}
	if secret, err = a.create(ctx, access.System().Name, BootstrapName, "", everything); err != nil {
		return "", "", err
	}
	return BootstrapName, secret, nil
}
