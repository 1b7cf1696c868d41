package main_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/assay-registry/assay/verify/estate"
	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/crypto/bcrypt"
)

// The people of testdata/lab.yaml. A password is the name with "-secret" behind it.
var people = []string{"root", "ci", "dev", "signer", "release", "reader", "scanner", "janitor"}

// lab is what all scripts share: the built programs, the tools they drive, one pair of cosign keys that is trusted and one that is not.
type lab struct {
	programs string // folder with assay and assay-sbom
	keys     string // folder with cosign.key, cosign.pub, other.key, other.pub
	htpasswd []byte
	path     string // PATH of the scripts
}

// sharedFixtures lie beside the project.
const sharedFixtures = "../../../shared/fixtures"

// TestScripts runs testdata/script/*.txtar: the real binary, real clients, one server per script.
//
// Besides testscript's own commands they have
//
//	serve [-config FILE] [arg...]  starts the server on $REGISTRY and waits until it is ready; also after shutdown and kill9, on the same data
//	shutdown, kill9                    end it with SIGTERM (and demand a clean exit) or SIGKILL
//	as USER command [arg...]       runs a command with that person's credentials
//	http [-u USER] [-H 'K: V'] [-f FILE] METHOD PATH    one request; status line, headers and body go to stdout
//	mkimage [flags] NAME           writes an image (see script_image_test.go)
//	blob, manifest, referrer       push bytes as they are, wait for a referrer (see script_http_test.go)
//	notary, notarize               a private PKI for the Notary Project, and signatures under it (see script_notation_test.go)
//	smuggle NAME                   writes payloads that pretend to be evidence (see script_smuggle_test.go)
//	estate NAME, token [flags] ESTATE SUBJECT ISSUER FILE    a private Sigstore instance and its tokens (see script_estate_test.go)
//	graft ANNOTATION FROM TO OUT   puts the annotation of one signature's manifest into another's
//	bundle, splice, attach         fetch a sigstore bundle, put a part of one into another, push one as a referrer
//	webhook CA PATH FILE           asks as a cluster does (see script_webhook_test.go)
//	dockerd, containerd            start a daemon of the script's own
//	sqlite DATABASE FILE...        makes a database by the statements of files (see script_sqlite_test.go)
//
// and the conditions [tool:NAME] and [fixtures] (what others signed, in $FIXTURES), errors under CI=true where the thing is missing.
func TestScripts(t *testing.T) {
	l := newLab(t, os.Getenv("ASSAY_TEST_RACE") != "")
	testscript.Run(t, l.params("testdata/script"))
}

func newLab(t *testing.T, race bool) *lab {
	t.Helper()
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	l := &lab{programs: t.TempDir(), keys: t.TempDir()}
	l.path = strings.Join([]string{l.programs, filepath.Join(root, ".cache/bin"), os.Getenv("PATH"), "/usr/sbin", "/sbin"}, string(os.PathListSeparator))
	build := []string{"build", "-o", l.programs + "/"}
	run(t, "go", append(build, "../assay-sbom")...)
	if race {
		build = append(build, "-race") // the server alone: the worker is one goroutine's work in a process of its own
	}
	run(t, "go", append(build, ".")...)
	for _, name := range people {
		hash, err := bcrypt.GenerateFromPassword([]byte(name+"-secret"), bcrypt.MinCost)
		if err != nil {
			t.Fatal(err)
		}
		l.htpasswd = fmt.Appendf(l.htpasswd, "%s:%s\n", name, hash)
	}
	if cosign, ok := l.tool("cosign2"); ok {
		for _, name := range []string{"cosign", "other"} {
			cmd := exec.Command(cosign, "generate-key-pair", "--output-key-prefix", name)
			cmd.Dir, cmd.Env = l.keys, append(os.Environ(), "COSIGN_PASSWORD=")
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("cosign generate-key-pair: %v\n%s", err, out)
			}
		}
	}
	return l
}

func run(t *testing.T, name string, args ...string) {
	t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
}

// tool finds a program in the scripts' PATH.
func (l *lab) tool(name string) (string, bool) {
	for _, dir := range filepath.SplitList(l.path) {
		path := filepath.Join(dir, name)
		if info, err := os.Stat(path); err == nil && !info.IsDir() && info.Mode()&0o111 != 0 {
			return path, true
		}
	}
	return "", false
}

func (l *lab) params(dir string) testscript.Params {
	return testscript.Params{
		Dir:                dir,
		RequireUniqueNames: true,
		Setup:              l.setup,
		Condition: func(cond string) (bool, error) {
			if cond == "fixtures" {
				_, err := os.Stat(sharedFixtures)
				if err != nil && os.Getenv("CI") == "true" {
					return false, fmt.Errorf("the shared fixtures are missing: %w", err)
				}
				return err == nil, nil
			}
			name, ok := strings.CutPrefix(cond, "tool:")
			if !ok {
				return false, fmt.Errorf("unknown condition %q", cond)
			}
			if _, found := l.tool(name); !found && os.Getenv("CI") == "true" {
				return false, fmt.Errorf("%s is not installed; make tools installs it", name)
			} else {
				return found, nil
			}
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"serve": cmdServe, "shutdown": cmdShutdown, "kill9": cmdKill,
			"as": cmdAs, "http": cmdHTTP, "blob": cmdBlob, "manifest": cmdManifest, "referrer": cmdReferrer,
			"mkimage": cmdImage, "smuggle": cmdSmuggle, "notary": cmdNotary, "notarize": cmdNotarize,
			"eventually": cmdEventually, "estate": cmdEstate, "token": cmdToken, "capture": cmdCapture, "graft": cmdGraft, "bundle": cmdBundle, "attach": cmdAttach, "splice": cmdSplice,
			"dockerd": cmdDockerd, "containerd": cmdContainerd, "webhook": cmdWebhook, "sqlite": cmdSQLite,
		},
	}
}

// setup gives a script its own home, registry address, keys and configuration.
func (l *lab) setup(env *testscript.Env) error {
	registry, err := freeAddress()
	if err != nil {
		return err
	}
	work := env.WorkDir
	env.Setenv("PATH", l.path)
	env.Setenv("HOME", filepath.Join(work, "home"))
	env.Setenv("REGISTRY", registry)
	env.Setenv("ASSAY_SERVER", "http://"+registry)
	env.Setenv("COSIGN_PASSWORD", "")
	env.Setenv("XDG_RUNTIME_DIR", filepath.Join(work, "run"))
	env.Setenv("CONTAINERS_STORAGE_CONF", filepath.Join(work, "home/storage.conf"))
	env.Setenv("BUILDAH_ISOLATION", "chroot")
	env.Setenv("REGCTL_CONFIG", filepath.Join(work, "home/regctl.json"))
	// Clients as they are called below. The loopback address is plain HTTP for docker, crane and cosign without being asked.
	env.Setenv("regctl", "regctl --host reg="+registry+",tls=disabled")
	if fixtures, err := filepath.Abs(sharedFixtures); err == nil {
		env.Setenv("FIXTURES", fixtures)
	}
	env.Values[estatesKey{}] = map[string]*estate.Estate{}
	env.Values[serverKey{}] = &server{work: work, address: registry, stateOf: env}
	env.Defer(env.Values[serverKey{}].(*server).kill)
	for _, dir := range []string{"home/.docker", "run", "auth"} {
		if err := os.MkdirAll(filepath.Join(work, dir), 0o700); err != nil {
			return err
		}
	}
	files := map[string][]byte{
		"users.htpasswd":    l.htpasswd,
		"home/storage.conf": fmt.Appendf(nil, "[storage]\ndriver = \"vfs\"\ngraphroot = %q\nrunroot = %q\n", work+"/storage", work+"/run/storage"),
	}
	for _, name := range []string{"cosign.key", "cosign.pub", "other.key", "other.pub"} {
		if files[name], err = os.ReadFile(filepath.Join(l.keys, name)); err != nil && !os.IsNotExist(err) {
			return err
		}
	}
	if files["assay.yaml"], err = os.ReadFile("testdata/lab.yaml"); err != nil {
		return err
	}
	for name, content := range files {
		path := filepath.Join(work, name)
		if _, err := os.Stat(path); err == nil || content == nil {
			continue // the script brings its own
		}
		if err := os.WriteFile(path, content, 0o600); err != nil {
			return err
		}
	}
	for _, name := range people {
		if err := login(work, registry, name, name+"-secret"); err != nil {
			return err
		}
	}
	return nil
}

func freeAddress() (string, error) {
	l, err := new(net.ListenConfig).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}
