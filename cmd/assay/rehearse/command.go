package rehearse

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"runtime/debug"

	"github.com/assay-registry/assay/cmd/assay/cli"
	"github.com/assay-registry/assay/policy/engine"
	"github.com/spf13/cobra"
)

const commandName = "rehearse-policies"

// What the child may take. A server's stack goes to a gigabyte, which is what a policy that is compiled here and there alike must never need.
const (
	maxStack  = 64 << 20
	maxMemory = 256 << 20 // all fourteen shipped policies take 50 MiB
	maxCPU    = 120       // seconds of processor time, for all policies: should the server be gone that waits for it
)

// Command is the child's. It is hidden: the program starts itself with it. It reads policies as JSON and writes a line for each that came to an end.
func Command(a *cli.App) *cobra.Command {
	return &cobra.Command{
		Use: commandName, Short: "Compile policies for a server, which lives on if that does not end", Hidden: true, Args: cli.Exactly(),
		RunE: func(c *cobra.Command, _ []string) error {
			debug.SetTraceback("none")
			debug.SetMaxStack(maxStack)
			if err := limit(); err != nil {
				return err
			}
			for d := json.NewDecoder(a.Stdin); ; {
				var s script
				if err := d.Decode(&s); errors.Is(err, io.EOF) {
					return nil
				} else if err != nil {
					return err
				}
				engine.Rehearse(c.Context(), engine.Policy{Name: "p", Source: s.Source, Params: s.Params})
				if _, err := fmt.Fprintln(a.Stdout, "passed"); err != nil {
					return err
				}
			}
		},
	}
}
