package signcmd

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/assay-registry/assay/cmd/assay/cli"
	"github.com/assay-registry/assay/verify/signer"
	"github.com/spf13/cobra"
)

// PasswordVariables are where the password of a private key is looked for before anybody is asked: ours, then cosign's.
var PasswordVariables = [...]string{"ASSAY_KEY_PASSWORD", "COSIGN_PASSWORD"}

// KeyCommand is assay key.
func KeyCommand(a *cli.App) *cobra.Command {
	c := cli.Group(&cobra.Command{Use: "key", Short: "Make a key to sign with"})
	c.AddCommand(a.WithOutput(&cobra.Command{
		Use: "new NAME", Short: "Make a key pair: NAME.key, which signs, and NAME.pub, which is trusted", Args: cli.Exactly("NAME"),
		Long: `Make a key pair: NAME.key, which signs and stays with you, and NAME.pub, which others
trust. The private key is ECDSA over P-256, encrypted as cosign does, so that
cosign sign --key NAME.key takes it too. The password comes from ASSAY_KEY_PASSWORD
or COSIGN_PASSWORD, else it is asked for; an empty one is no protection.`,
		Example: "  assay key new release\n  assay trust add release --key release.pub --repositories 'acme/**'",
		RunE: func(_ *cobra.Command, args []string) error {
			password, err := KeyPassword(a, true)
			if err != nil {
				return err
			}
			private, public, err := signer.Generate(a.Rand, password)
			if err != nil {
				return err
			}
			if err := WritePair(a, args[0], private, public); err != nil {
				return err
			}
			files := map[string]string{"private": args[0] + ".key", "public": args[0] + ".pub"}
			return a.PrintValue(files, func() error { return a.Say("made %s (keep it secret) and %s", files["private"], files["public"]) })
		},
	}))
	return c
}

// WritePair writes the two halves of a new key, NAME.key and NAME.pub, or neither. What is there already is not overwritten: a private key that is gone cannot be made again.
func WritePair(a *cli.App, name string, private, public []byte) error {
	secret := a.Path(name + ".key")
	if err := writeNew(secret, private, 0o600); err != nil {
		return err
	}
	if err := writeNew(a.Path(name+".pub"), public, 0o644); err != nil {
		return cli.JoinErrors(err, os.Remove(secret)) // made a moment ago: nothing was signed with it
	}
	return nil
}

// writeNew refuses to overwrite, and leaves nothing behind that is half written.
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
	if err = errors.Join(err, f.Close()); err != nil {
		return errors.Join(err, os.Remove(path))
	}
	return nil
}

// KeyPassword finds the password of a private key, or asks for it; for a new key twice.
func KeyPassword(a *cli.App, fresh bool) ([]byte, error) {
	for _, name := range PasswordVariables {
		if v, given := a.Lookup(name); given {
			return []byte(v), nil
		}
	}
	if !a.Terminal(a.Stdin) {
		return nil, cli.Usage("the key has a password and there is no terminal to ask for it; set %s", PasswordVariables[0])
	}
	password, err := askPassword(a, "Password of the key: ")
	if err != nil || !fresh {
		return password, err
	}
	again, err := askPassword(a, "The same again: ")
	if err == nil && string(again) != string(password) {
		err = cli.Usage("the two passwords differ; nothing was made")
	}
	return password, err
}

func askPassword(a *cli.App, prompt string) ([]byte, error) {
	fmt.Fprint(a.Stderr, prompt)
	password, err := a.Password()
	fmt.Fprintln(a.Stderr)
	return password, err
}

// MaxKey bounds a key file, in bytes.
const MaxKey = 64 << 10

// Exposed says that anybody on this machine may read a private key that is not encrypted.
func Exposed(a *cli.App, file string, text []byte) error {
	info, err := os.Stat(a.Path(file))
	if err == nil && !signer.Encrypted(text) && info.Mode().Perm()&0o007 != 0 {
		err = fmt.Errorf("anybody on this machine may read the private key %s (mode %s); make it yours: chmod 600 %s", file, info.Mode(), file)
	}
	return err
}

// SigningKey reads the private key that --key names.
func SigningKey(a *cli.App, file string) (*signer.Key, error) {
	if file == "" {
		return nil, cli.Usage("--key is missing: name the file of the private key, such as release.key (assay key new release makes one)")
	}
	text, err := a.ReadFile(file, MaxKey)
	if err != nil {
		return nil, err
	}
	if err := Exposed(a, file, text); err != nil {
		fmt.Fprintln(a.Stderr, "assay: warning: "+cli.Printable(err.Error()))
	}
	var password []byte
	if signer.Encrypted(text) {
		if password, err = KeyPassword(a, false); err != nil {
			return nil, err
		}
	}
	k, err := signer.Parse(a.Rand, text, password)
	if err != nil {
		return nil, fmt.Errorf("%s: %s", file, cli.Sentence(err))
	}
	return k, nil
}
