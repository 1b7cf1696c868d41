package docker

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// Credentials are a user's name and password. Empty is none.
type Credentials struct{ User, Password string }

// The limits of what docker's configuration and its helpers may say.
const (
	maxDockerConfig = 4 << 20
	maxHelperOutput = 64 << 10
	helperTimeout   = 15 * time.Second
)

// Config is docker's own configuration, config.json: where credentials are found and kept.
type Config struct {
	Path string // of the file
	// Run calls a credential helper with its standard input; nil runs the program. Errors carry what it printed.
	Run func(ctx context.Context, program, verb, input string) ([]byte, error)
}

// ConfigPath names the file as docker does: $DOCKER_CONFIG/config.json, else ~/.docker/config.json; empty where there is no home.
func ConfigPath(env func(string) string) string {
	if dir := env("DOCKER_CONFIG"); dir != "" {
		return filepath.Join(dir, "config.json")
	}
	if home := env("HOME"); home != "" {
		return filepath.Join(home, ".docker", "config.json")
	}
	return ""
}

type configFile struct {
	Auths map[string]struct {
		Auth          string `json:"auth"`
		Username      string `json:"username"`
		Password      string `json:"password"`
		IdentityToken string `json:"identitytoken"`
	} `json:"auths"`
	CredsStore  string            `json:"credsStore"`
	CredHelpers map[string]string `json:"credHelpers"`
}

func (d Config) read() ([]byte, *configFile, error) {
	config := &configFile{}
	if d.Path == "" {
		return nil, config, nil
	}
	f, err := os.Open(d.Path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, config, nil
	}
	if err != nil {
		return nil, nil, fmt.Errorf("docker's configuration cannot be read: %w", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxDockerConfig+1))
	if err != nil {
		return nil, nil, fmt.Errorf("docker's configuration cannot be read: %w", err)
	}
	if len(text) > maxDockerConfig {
		return nil, nil, fmt.Errorf("docker's configuration %s is larger than %d MiB", d.Path, maxDockerConfig>>20)
	}
	if err := json.Unmarshal(text, config); err != nil {
		return nil, nil, fmt.Errorf("docker's configuration %s is not JSON: %w", d.Path, err)
	}
	return text, config, nil
}

// helper names the credential helper in charge of host, or "".
func (c *configFile) helper(host string) string {
	if h := c.CredHelpers[host]; h != "" {
		return h
	}
	return c.CredsStore
}

// Find returns the credentials for host (HOST or HOST:PORT): those of its helper, else those in the file, else none.
func (d Config) Find(ctx context.Context, host string) (Credentials, error) {
	_, config, err := d.read()
	if err != nil {
		return Credentials{}, err
	}
	if h := config.helper(host); h != "" {
		found, err := d.askHelper(ctx, h, host)
		if err != nil || found != (Credentials{}) {
			return found, err
		}
	}
	for key, a := range config.Auths {
		if hostOf(key) != host {
			continue
		}
		if a.IdentityToken != "" {
			return Credentials{}, fmt.Errorf("docker's configuration holds an identity token for %s, which is not used here; log in with a name and a password or an access token", host)
		}
		if a.Username != "" || a.Password != "" {
			return Credentials{User: a.Username, Password: a.Password}, nil
		}
		if a.Auth == "" {
			continue
		}
		plain, err := base64.StdEncoding.DecodeString(a.Auth)
		user, password, ok := strings.Cut(string(plain), ":")
		if err != nil || !ok {
			return Credentials{}, fmt.Errorf("docker's configuration holds damaged credentials for %s; log in again", host)
		}
		return Credentials{User: user, Password: strings.TrimRight(password, "\x00")}, nil
	}
	return Credentials{}, nil
}

// hostOf strips what docker puts around the host in its keys: a scheme and a path.
func hostOf(key string) string {
	if _, after, ok := strings.Cut(key, "://"); ok {
		key = after
	}
	host, _, _ := strings.Cut(key, "/")
	return host
}

func (d Config) askHelper(ctx context.Context, helper, host string) (Credentials, error) {
	out, err := d.run(ctx, helper, "get", host)
	if err != nil {
		if strings.Contains(err.Error(), "credentials not found") { // the sentence of docker-credential-helpers
			return Credentials{}, nil
		}
		return Credentials{}, err
	}
	var answer struct{ Username, Secret string }
	if err := json.Unmarshal(out, &answer); err != nil {
		return Credentials{}, fmt.Errorf("docker-credential-%s answered something that is not JSON", helper)
	}
	if answer.Username == "<token>" {
		return Credentials{}, fmt.Errorf("docker-credential-%s holds an identity token for %s, which is not used here; log in with a name and a password or an access token", helper, host)
	}
	return Credentials{User: answer.Username, Password: answer.Secret}, nil
}

func (d Config) run(ctx context.Context, helper, verb, input string) ([]byte, error) {
	for i := range len(helper) {
		if c := helper[i]; (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' && c != '_' && c != '.' {
			return nil, fmt.Errorf("docker's configuration names a credential helper %q, which is not a program's name", helper)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, helperTimeout)
	defer cancel()
	if d.Run != nil {
		return d.Run(ctx, "docker-credential-"+helper, verb, input)
	}
	return runHelper(ctx, "docker-credential-"+helper, verb, input)
}

// runHelper runs the program found on PATH, with bounded output and time. Its standard error is not shown: it may hold a secret.
func runHelper(ctx context.Context, program, verb, input string) ([]byte, error) {
	c := exec.CommandContext(ctx, program, verb)
	c.Stdin = strings.NewReader(input)
	var out bounded
	c.Stdout = &out
	c.WaitDelay = time.Second
	err := c.Run()
	switch {
	case ctx.Err() != nil:
		return nil, fmt.Errorf("%s did not answer within %s", program, helperTimeout)
	case out.over:
		return nil, fmt.Errorf("%s answered more than %d KiB", program, maxHelperOutput>>10)
	case err != nil:
		return nil, fmt.Errorf("%s %s: %s", program, verb, firstLine(out.kept.Bytes(), err))
	}
	return out.kept.Bytes(), nil
}

// firstLine is what a failed helper printed: the protocol puts its message on standard output.
func firstLine(out []byte, err error) string {
	line, _, _ := bytes.Cut(bytes.TrimSpace(out), []byte("\n"))
	if len(line) == 0 || len(line) > 200 {
		return err.Error()
	}
	return string(line)
}

// bounded keeps at most maxHelperOutput bytes. The buffer is a field, not embedded: its ReadFrom would pass the limit by.
type bounded struct {
	kept bytes.Buffer
	over bool
}

func (b *bounded) Write(p []byte) (int, error) {
	if b.kept.Len()+len(p) > maxHelperOutput {
		b.over = true
		return 0, io.ErrShortBuffer
	}
	return b.kept.Write(p)
}

// Store keeps credentials for host where docker would: with the helper in charge, else in the file (mode 0600, replaced as a whole).
// Everything else in the file stays. It returns where they went.
func (d Config) Store(ctx context.Context, host string, c Credentials) (where string, err error) {
	text, config, err := d.read()
	if err != nil {
		return "", err
	}
	if h := config.helper(host); h != "" {
		input, err := json.Marshal(map[string]string{"ServerURL": host, "Username": c.User, "Secret": c.Password})
		if err != nil {
			return "", err
		}
		_, err = d.run(ctx, h, "store", string(input))
		return "docker-credential-" + h, err
	}
	auth, err := json.Marshal(map[string]string{"auth": base64.StdEncoding.EncodeToString([]byte(c.User + ":" + c.Password))})
	if err != nil {
		return "", err
	}
	return d.Path, d.edit(text, func(auths map[string]json.RawMessage) { auths[host] = auth })
}

// Erase forgets the credentials for host.
func (d Config) Erase(ctx context.Context, host string) error {
	text, config, err := d.read()
	if err != nil {
		return err
	}
	if h := config.helper(host); h != "" {
		if _, err := d.run(ctx, h, "erase", host); err != nil {
			return err
		}
	}
	if len(config.Auths) == 0 {
		return nil
	}
	return d.edit(text, func(auths map[string]json.RawMessage) {
		for key := range auths {
			if hostOf(key) == host {
				delete(auths, key)
			}
		}
	})
}

// edit changes "auths" and leaves the rest as it was.
func (d Config) edit(text []byte, change func(map[string]json.RawMessage)) error {
	if d.Path == "" {
		return errors.New("there is no place for credentials: set HOME or DOCKER_CONFIG")
	}
	whole, auths := map[string]json.RawMessage{}, map[string]json.RawMessage{}
	if len(text) > 0 {
		if err := json.Unmarshal(text, &whole); err != nil {
			return fmt.Errorf("docker's configuration %s is not JSON: %w", d.Path, err)
		}
	}
	if a := whole["auths"]; len(a) > 0 {
		if err := json.Unmarshal(a, &auths); err != nil {
			return fmt.Errorf("docker's configuration %s is damaged: %w", d.Path, err)
		}
	}
	if auths == nil {
		auths = map[string]json.RawMessage{}
	}
	change(auths)
	var err error
	if whole["auths"], err = json.Marshal(auths); err != nil {
		return err
	}
	out, err := json.MarshalIndent(whole, "", "\t")
	if err != nil {
		return err
	}
	return replace(d.Path, append(out, '\n'))
}

// replace writes a private file beside path and renames it, through a symbolic link if path is one.
func replace(path string, text []byte) (err error) {
	if target, linkErr := filepath.EvalSymlinks(path); linkErr == nil {
		path = target
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".config-*.json") // mode 0600
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			os.Remove(f.Name())
		}
	}()
	if _, err = f.Write(text); err == nil {
		err = f.Sync()
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
