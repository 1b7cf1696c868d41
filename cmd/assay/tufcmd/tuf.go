package tufcmd

import (
	"bytes"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/assay-registry/assay/cmd/assay/cli"
	"github.com/assay-registry/assay/cmd/assay/signcmd"
	"github.com/assay-registry/assay/cmd/assay/tufdir"
	"github.com/assay-registry/assay/store"
	"github.com/assay-registry/assay/verify"
	"github.com/assay-registry/assay/verify/tufrepo"
	"github.com/spf13/cobra"
)

const tufHelp = `Make and keep a TUF repository: which tag means which image, which keys are trusted,
which policies hold, signed by people of whom some must agree (The Update Framework).

Make keys:       assay tuf key root-a; assay tuf key root-b; assay tuf key online
Make it:         assay tuf init tuf --root-key root-a.key --root-key root-b.key --threshold root=2 --targets-key online.key
Pin a tag:       assay tuf add tuf --image registry.example.com/acme/app:v1
Publish it:      assay tuf publish tuf oci:registry.example.com/acme/tuf
Every day:       assay tuf refresh tuf && assay tuf publish tuf oci:registry.example.com/acme/tuf

An edit makes a staged version, which counts once enough people have signed it: assay tuf
sign works on a copy of the directory, too, on a machine without a network. Keys stay where
they are; the directory holds none. It remembers the files of online keys, never those of root.`

// Command is assay tuf.
func Command(a *cli.App) *cobra.Command {
	c := cli.Group(&cobra.Command{Use: "tuf", Short: "Make and keep a TUF repository, which pins tags and hands out trust", Long: tufHelp})
	c.AddCommand(tufKeyCommand(a), tufInit(a), tufAdd(a), tufRemove(a), tufDelegate(a), tufUndelegate(a),
		tufAddKey(a), tufRemoveKey(a), tufRotate(a), tufSign(a), tufDiscard(a), tufRefresh(a), tufStatus(a), tufPublish(a))
	return c
}

func tufKeyCommand(a *cli.App) *cobra.Command {
	kind := ""
	c := &cobra.Command{
		Use: "key NAME", Short: "Make a key pair for a role: NAME.key and NAME.pub", Args: cli.Exactly("NAME"),
		Long: `Make a key pair for a role: NAME.key, which signs and stays with its owner, and NAME.pub.
The password comes from ASSAY_KEY_PASSWORD or COSIGN_PASSWORD, else it is asked for; with an
empty one, as for a key that a job uses, the private key is not encrypted.
Keys that assay key new or cosign generate-key-pair made serve as well.`,
		RunE: func(_ *cobra.Command, args []string) error {
			password, err := signcmd.KeyPassword(a, true)
			if err != nil {
				return err
			}
			if err := makeTUFKey(a, args[0], kind, password); err != nil {
				return err
			}
			files := map[string]string{"private": args[0] + ".key", "public": args[0] + ".pub"}
			return a.PrintValue(files, func() error { return a.Say("made %s (keep it secret) and %s", files["private"], files["public"]) })
		},
	}
	c.Flags().StringVar(&kind, "type", tufrepo.KindEd25519, tufrepo.KindEd25519+" or "+tufrepo.KindP256)
	return a.WithOutput(c)
}

func makeTUFKey(a *cli.App, name, kind string, password []byte) error {
	private, public, err := tufrepo.Generate(a.Rand, kind, password)
	if err != nil {
		return err
	}
	return signcmd.WritePair(a, name, private, public)
}

// tufSession is one command's work on a working directory.
type tufSession struct {
	a     *cli.App
	repo  *tufrepo.Repository
	given []string                // files of --key
	read  map[string]*tufrepo.Key // by file: a password is asked for once
	notes []string
}

// withTUF opens a working directory, locked if it is to be changed, and closes it afterwards.
func withTUF(a *cli.App, name string, change bool, keys []string, do func(*tufSession) error) (err error) {
	if _, err := os.Stat(a.Path(name)); errors.Is(err, fs.ErrNotExist) {
		return store.Errorf(store.CodeNotFound, "there is no TUF repository in %s; assay tuf init makes one", name)
	} else if err != nil {
		return err
	}
	dir, done, err := tufdir.Open(a.Path(name), change, a.Rand)
	if err != nil {
		return err
	}
	defer closing(done, &err)
	s := &tufSession{a: a, given: keys, read: map[string]*tufrepo.Key{}}
	if s.repo, err = tufrepo.Open(tufrepo.Options{Dir: dir, Now: a.Clock}); err != nil {
		return err
	}
	if _, err := s.keys(keys); err != nil { // before anything is changed
		return err
	}
	return do(s)
}

// closing tells of an error on the way out unless there is one already.
func closing(done func() error, err *error) {
	if e := done(); *err == nil {
		*err = e
	}
}

// key reads a key file: a private key, encrypted or not, or a public one. One that anybody on the machine may read is refused.
func (s *tufSession) key(file string) (*tufrepo.Key, error) {
	if k := s.read[file]; k != nil {
		return k, nil
	}
	text, err := s.a.ReadFile(file, signcmd.MaxKey)
	if err != nil {
		return nil, err
	}
	var k *tufrepo.Key
	if block, _ := pem.Decode(text); block != nil && block.Type == "PUBLIC KEY" {
		public, err := verify.ParseKeyPEM(text)
		if err != nil {
			return nil, cli.Usage("%s: %s", file, cli.Sentence(err))
		}
		k, err = tufrepo.NewKey(public, nil)
		if err != nil {
			return nil, cli.Usage("%s: %s", file, cli.Sentence(err))
		}
	} else {
		if err := signcmd.Exposed(s.a, file, text); err != nil {
			return nil, err
		}
		private, err := signcmd.SigningKey(s.a, file)
		if err != nil {
			return nil, err
		}
		if k, err = tufrepo.NewKey(private.Key, private.SignMessage); err != nil {
			return nil, cli.Usage("%s: %s", file, cli.Sentence(err))
		}
	}
	s.read[file] = k
	return k, nil
}

func (s *tufSession) keys(files []string) ([]*tufrepo.Key, error) {
	var list []*tufrepo.Key
	for _, f := range files {
		k, err := s.key(f)
		if err != nil {
			return nil, err
		}
		list = append(list, k)
	}
	return list, nil
}

// atHand is the keys that may sign for a role: those of --key, and those whose files the directory remembers, as far as they are on this machine.
func (s *tufSession) atHand(role string) ([]*tufrepo.Key, error) {
	list, err := s.keys(s.given)
	if err != nil {
		return nil, err
	}
	for _, file := range s.repo.Config.Keys[role] {
		k, err := s.key(file)
		if errors.Is(err, fs.ErrNotExist) {
			s.note("the key file %s of %s is not on this machine", file, role)
			continue
		}
		if err != nil {
			return nil, err
		}
		if k.Sign != nil && !slices.Contains(list, k) {
			list = append(list, k)
		}
	}
	return list, nil
}

func (s *tufSession) note(format string, args ...any) {
	if text := fmt.Sprintf(format, args...); !slices.Contains(s.notes, text) {
		s.notes = append(s.notes, text)
	}
}

// remember keeps the files of private keys of a role other than root.
func (s *tufSession) remember(role string, files []string) error {
	changed := false
	for _, f := range files {
		k, err := s.key(f)
		if err != nil {
			return err
		}
		path, err := filepath.Abs(s.a.Path(f))
		if err != nil {
			return err
		}
		if role == tufrepo.Root || k.Sign == nil || slices.Contains(s.repo.Config.Keys[role], path) {
			continue
		}
		if s.repo.Config.Keys == nil {
			s.repo.Config.Keys = map[string][]string{}
		}
		s.repo.Config.Keys[role] = append(s.repo.Config.Keys[role], path)
		changed = true
	}
	if !changed {
		return nil
	}
	return s.repo.SaveConfig()
}

// signStaged signs what is staged with the keys at hand that it waits for. A key of --key that nothing waits for is an error.
func (s *tufSession) signStaged() error {
	used, err := s.signRoles(s.repo.Staged())
	if err != nil {
		return err
	}
	for _, file := range s.given {
		if k, err := s.key(file); err != nil || !used[k] {
			return cli.Usage("the key %s is none that a staged version waits for, so what is staged has no signature of it; assay tuf status names those that have to sign", file)
		}
	}
	return nil
}

// signRoles signs staged versions with the keys at hand that they wait for, and says which were used.
func (s *tufSession) signRoles(roles []string) (used map[*tufrepo.Key]bool, err error) {
	used = map[*tufrepo.Key]bool{}
	for _, role := range roles {
		list, err := s.atHand(role)
		if err != nil {
			return nil, err
		}
		for _, k := range list {
			if !s.repo.Wants(role, k) {
				continue
			}
			if err := s.repo.Sign(role, k); err != nil {
				return nil, err
			}
			used[k] = true
		}
	}
	return used, nil
}

// report says what was done and what is missing now.
func (s *tufSession) report(format string, args ...any) error {
	staged := []tufrepo.Need{}
	for _, role := range s.repo.Staged() {
		needs, err := s.repo.Needs(role)
		if err != nil {
			return err
		}
		staged = append(staged, needs...)
	}
	return s.a.PrintValue(map[string]any{"staged": staged, "notes": s.notes}, func() error {
		if err := s.a.Say(format, args...); err != nil {
			return err
		}
		for _, n := range staged {
			if err := s.a.Say("  staged: %s", n); err != nil {
				return err
			}
		}
		for _, n := range s.notes {
			if err := s.a.Say("  note: %s", n); err != nil {
				return err
			}
		}
		return nil
	})
}

// tufInitFlags is what init takes.
type tufInitFlags struct {
	keys       map[string]*[]string // by role
	thresholds []string
	expires    []string
	generate   string
}

func tufInit(a *cli.App) *cobra.Command {
	o := tufInitFlags{keys: map[string]*[]string{}}
	c := &cobra.Command{
		Use: "init DIR --root-key FILE... --targets-key FILE...", Short: "Make a repository with its first root", Args: cli.Exactly("DIR"),
		Long: `Make a repository with its first root and empty targets. A key is given as a private one,
which signs at once, or as a public one, whose owner signs later: assay tuf sign DIR root.
Without --snapshot-key and --timestamp-key the targets keys serve these roles too.`,
		Example: "  assay tuf init tuf --root-key root-a.key --root-key root-b.pub --threshold root=2 --targets-key online.key --expires root=365d,timestamp=1d",
		RunE:    func(_ *cobra.Command, args []string) error { return initTUF(a, args[0], o) },
	}
	f := c.Flags()
	for _, role := range []string{tufrepo.Root, tufrepo.Targets, tufrepo.Snapshot, tufrepo.Timestamp} {
		o.keys[role] = f.StringArray(role+"-key", nil, "PEM file of a key of "+role+"; may be given several times")
		_ = c.MarkFlagFilename(role+"-key", "key", "pub", "pem")
	}
	f.StringSliceVar(&o.thresholds, "threshold", nil, "how many keys of a role must sign, such as root=2 (default 1)")
	f.StringSliceVar(&o.expires, "expires", nil, "how long a role's versions are valid, such as root=365d,targets=90d,snapshot=7d,timestamp=1d")
	f.StringVar(&o.generate, "generate", "", "make the keys that are not given, root and online, in this folder")
	return a.WithOutput(c)
}

// pairs reads ROLE=VALUE.
func pairs(flag string, list []string) (map[string]string, error) {
	m := map[string]string{}
	for _, s := range list {
		role, value, ok := strings.Cut(s, "=")
		if !ok || role == "" || m[role] != "" {
			return nil, cli.Usage("--%s %s is not understood; write ROLE=VALUE, once for each role", flag, s)
		}
		m[role] = value
	}
	return m, nil
}

func initTUF(a *cli.App, name string, o tufInitFlags) (err error) {
	expires, err := pairs("expires", o.expires)
	if err != nil {
		return err
	}
	thresholds, err := o.counts()
	if err != nil {
		return err
	}
	made, err := generateTUFKeys(a, o)
	defer func() {
		for _, file := range made { // for a repository that there is none of
			err = cli.JoinErrors(err, os.Remove(file))
		}
	}()
	if err != nil {
		return err
	}
	s := &tufSession{a: a, read: map[string]*tufrepo.Key{}}
	roles, err := s.roleKeys(o, thresholds)
	if err != nil {
		return err
	}
	dir, done, err := tufdir.Open(a.Path(name), true, a.Rand)
	if err != nil {
		return err
	}
	defer closing(done, &err)
	if s.repo, err = tufrepo.Init(tufrepo.Options{Dir: dir, Now: a.Clock}, roles, tufrepo.Config{Expires: expires}); err != nil {
		return err
	}
	made = nil
	for _, role := range slices.Sorted(maps.Keys(o.keys)) {
		if err := s.remember(role, *o.keys[role]); err != nil {
			return err
		}
	}
	for _, k := range roles[tufrepo.Root].Keys {
		if k.Sign == nil {
			continue
		}
		if err := s.repo.Sign(tufrepo.Root, k); err != nil {
			return err
		}
	}
	if err := s.signStaged(); err != nil {
		return err
	}
	return s.report("made a TUF repository in %s", name)
}

// counts are the thresholds by role.
func (o tufInitFlags) counts() (map[string]int, error) {
	texts, err := pairs("threshold", o.thresholds)
	if err != nil {
		return nil, err
	}
	all := map[string]int{}
	for role, text := range texts {
		n, err := strconv.Atoi(text)
		if o.keys[role] == nil || err != nil || n < 1 {
			return nil, cli.Usage("--threshold %s=%s is not understood; write such as root=2", role, text)
		}
		all[role] = n
	}
	return all, nil
}

// roleKeys reads the keys of all roles.
func (s *tufSession) roleKeys(o tufInitFlags, thresholds map[string]int) (map[string]tufrepo.RoleKeys, error) {
	for _, role := range []string{tufrepo.Snapshot, tufrepo.Timestamp} {
		if len(*o.keys[role]) == 0 {
			*o.keys[role] = *o.keys[tufrepo.Targets]
		}
	}
	roles := map[string]tufrepo.RoleKeys{}
	for _, role := range slices.Sorted(maps.Keys(o.keys)) {
		list, err := s.keys(*o.keys[role])
		if err != nil {
			return nil, err
		}
		if len(list) == 0 {
			return nil, cli.Usage("--%s-key is missing: name the file of a key, or make the keys with --generate FOLDER", role)
		}
		roles[role] = tufrepo.RoleKeys{Keys: list, Threshold: thresholds[role]}
	}
	return roles, nil
}

// generateTUFKeys makes root and online keys where none are given, and says which files it made. They have the password of the environment, or none: who wants one for each makes them by hand.
func generateTUFKeys(a *cli.App, o tufInitFlags) (made []string, err error) {
	if o.generate == "" {
		return nil, nil
	}
	if err := os.MkdirAll(a.Path(o.generate), 0o700); err != nil {
		return nil, err
	}
	password := []byte{}
	for _, name := range signcmd.PasswordVariables {
		if v, given := a.Lookup(name); given && len(bytes.TrimSpace(password)) == 0 {
			password = []byte(v)
		}
	}
	for _, k := range []struct{ role, file string }{{tufrepo.Root, "root"}, {tufrepo.Targets, "online"}} {
		if len(*o.keys[k.role]) > 0 {
			continue
		}
		path := filepath.Join(o.generate, k.file)
		if err := makeTUFKey(a, path, tufrepo.KindEd25519, password); err != nil {
			return made, err
		}
		made = append(made, a.Path(path+".key"), a.Path(path+".pub"))
		*o.keys[k.role] = []string{path + ".key"}
	}
	return made, nil
}
