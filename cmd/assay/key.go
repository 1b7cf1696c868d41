package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/assay-registry/assay/verify/signer"
	"github.com/spf13/cobra"
)

// passwordVariables are where the password of a private key is looked for before anybody is asked: ours, then cosign's.
var passwordVariables = [...]string{"ASSAY_KEY_PASSWORD", "COSIGN_PASSWORD"}

func (a *app) key() *cobra.Command {
	c := group(&cobra.Command{Use: "key", Short: "Make a key to sign with"})
	c.AddCommand(a.withOutput(&cobra.Command{
		Use: "new NAME", Short: "Make a key pair: NAME.key, which signs, and NAME.pub, which is trusted", Args: exactly("NAME"),
		Long: `Make a key pair: NAME.key, which signs and stays with you, and NAME.pub, which others
trust. The private key is ECDSA over P-256, encrypted as cosign does, so that
cosign sign --key NAME.key takes it too. The password comes from ASSAY_KEY_PASSWORD
or COSIGN_PASSWORD, else it is asked for; an empty one is no protection.`,
		Example: "  assay key new release\n  assay trust add release --key release.pub --repositories 'acme/**'",
		RunE: func(_ *cobra.Command, args []string) error {
			password, err := a.keyPassword(true)
			if err != nil {
				return err
			}
			private, public, err := signer.Generate(a.rand, password)
			if err != nil {
				return err
			}
			for _, f := range []struct {
				name string
				text []byte
				mode fs.FileMode
			}{{args[0] + ".key", private, 0o600}, {args[0] + ".pub", public, 0o644}} {
				if err := writeNew(a.path(f.name), f.text, f.mode); err != nil {
					return err
				}
			}
			files := map[string]string{"private": args[0] + ".key", "public": args[0] + ".pub"}
			return a.printValue(files, func() error { return a.say("made %s (keep it secret) and %s", files["private"], files["public"]) })
		},
	}))
	return c
}

// writeNew refuses to overwrite: a private key that is gone cannot be made again.
func writeNew(path string, text []byte, mode fs.FileMode) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s is there already and is not overwritten; choose another name", path)
	}
	if err != nil {
		return err
	}
	if _, err = f.Write(text); err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// keyPassword finds the password of a private key, or asks for it; for a new key twice.
func (a *app) keyPassword(fresh bool) ([]byte, error) {
	for _, name := range passwordVariables {
		if v, given := a.lookup(name); given {
			return []byte(v), nil
		}
	}
	if !a.terminal(a.stdin) {
		return nil, usage("the key has a password and there is no terminal to ask for it; set %s", passwordVariables[0])
	}
	password, err := a.askPassword("Password of the key: ")
	if err != nil || !fresh {
		return password, err
	}
	again, err := a.askPassword("The same again: ")
	if err == nil && string(again) != string(password) {
		err = usage("the two passwords differ; nothing was made")
	}
	return password, err
}

func (a *app) askPassword(prompt string) ([]byte, error) {
	fmt.Fprint(a.stderr, prompt)
	password, err := a.password()
	fmt.Fprintln(a.stderr)
	return password, err
}

// signingKey reads the private key that --key names.
func (a *app) signingKey(file string) (*signer.Key, error) {
	if file == "" {
		return nil, usage("--key is missing: name the file of the private key, such as release.key (assay key new release makes one)")
	}
	text, err := os.ReadFile(a.path(file))
	if err != nil {
		return nil, err
	}
	var password []byte
	if signer.Encrypted(text) {
		if password, err = a.keyPassword(false); err != nil {
			return nil, err
		}
	}
	k, err := signer.Parse(a.rand, text, password)
	if err != nil {
		return nil, fmt.Errorf("%s: %s", file, sentence(err))
	}
	return k, nil
}
