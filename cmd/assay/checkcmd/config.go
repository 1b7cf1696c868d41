package checkcmd

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/assay-registry/assay/cmd/assay/cli"
	"github.com/assay-registry/assay/cmd/assay/config"
	"github.com/assay-registry/assay/cmd/assay/place"
	"github.com/assay-registry/assay/cmd/assay/rehearse"
	"github.com/assay-registry/assay/cmd/assay/rules"
	"github.com/assay-registry/assay/cmd/assay/settings"
	"github.com/assay-registry/assay/policy/engine"
	"github.com/spf13/cobra"
)

// ConfigCommand is assay config.
func ConfigCommand(a *cli.App) *cobra.Command {
	c := cli.Group(&cobra.Command{Use: "config", Short: "Check and show the configuration"})
	c.AddCommand(configCheck(a), configShow(a), &cobra.Command{
		Use: "schema", Short: "Print the JSON Schema of the configuration, for editors", Args: cli.Exactly(),
		RunE: func(*cobra.Command, []string) error {
			schema, err := config.Schema()
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(a.Stdout, "%s\n", schema)
			return err
		},
	})
	return c
}

// checked is the answer of config check as JSON.
type checked struct {
	OK       bool               `json:"ok"`
	Problems []settings.Problem `json:"problems"`
	Warnings []settings.Problem `json:"warnings"`
	Advice   []settings.Problem `json:"advice"`
}

func configCheck(a *cli.App) *cobra.Command {
	var p place.Flags
	c := &cobra.Command{
		Use: "check", Short: "Report everything that is wrong with the configuration", Args: cli.Exactly(),
		RunE: func(c *cobra.Command, _ []string) error {
			cfg, err := place.Load(a, p)
			report := checked{OK: err == nil, Problems: []settings.Problem{}, Warnings: []settings.Problem{}, Advice: []settings.Problem{}}
			var wrong *settings.Error
			switch {
			case err == nil:
				if _, err := rules.CompileAlone(c.Context(), cfg, engine.Options{Rehearse: rehearse.New(a.Self).Rehearse}); err != nil {
					return err
				}
				report.Warnings, report.Advice = append(report.Warnings, cfg.Warnings()...), append(report.Advice, cfg.Advice()...)
			case errors.As(err, &wrong):
				report.Problems = wrong.Problems
			default:
				return err
			}
			if a.Output == "json" {
				if err := a.PrintValue(report, nil); err != nil {
					return err
				}
				if !report.OK {
					return &cli.Failure{Code: cli.ExitError}
				}
				return nil
			}
			if err != nil {
				return err
			}
			for _, w := range append(report.Warnings, report.Advice...) {
				if err := a.Say("%s", cli.Printable(w.In(p.File))); err != nil {
					return err
				}
			}
			return a.Say("the configuration is right")
		},
	}
	return place.WithFlags(a, a.WithOutput(c), &p)
}

func configShow(a *cli.App) *cobra.Command {
	var p place.Flags
	c := &cobra.Command{
		Use: "show", Short: "Print the configuration with all defaults filled in", Args: cli.Exactly(),
		RunE: func(*cobra.Command, []string) error {
			cfg, err := place.Load(a, p)
			if err != nil {
				return err
			}
			if a.Output == "json" {
				text, err := cfg.JSON()
				if err != nil {
					return err
				}
				return cli.WriteJSON(a.Stdout, json.RawMessage(text))
			}
			text, err := cfg.YAML()
			if err != nil {
				return err
			}
			return a.Say("%s", strings.TrimRight(string(text), "\n"))
		},
	}
	c.Flags().StringVar(&p.Data, "data", "", "directory of everything that is stored (ASSAY_DATA)")
	c.Flags().StringVar(&p.Listen, "listen", "", "HOST:PORT to listen on (ASSAY_LISTEN)")
	return place.WithFlags(a, a.WithOutput(c), &p)
}
