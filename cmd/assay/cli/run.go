package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// Run runs one command line with the commands that root makes, and returns the exit code.
func Run(ctx context.Context, w World, root func(*App) *cobra.Command, args []string) int {
	a := &App{World: w}
	c := root(a)
	c.SetArgs(args)
	c.SetHelpCommand(helpCommand())
	c.InitDefaultCompletionCmd()
	if i := slices.IndexFunc(c.Commands(), func(c *cobra.Command) bool { return c.Name() == "completion" }); i >= 0 {
		Group(c.Commands()[i])
	}
	var unknown error
	show := c.HelpFunc()
	c.SetHelpFunc(func(c *cobra.Command, args []string) { // of -h, which comes before what a command makes of its arguments
		if words := c.Flags().Args(); len(words) > 0 && c.HasSubCommands() {
			unknown = noCommand(c, words[0])
			return
		}
		show(c, args)
	})
	err := c.ExecuteContext(ctx)
	if err == nil {
		err = unknown
	}
	if err == nil {
		return ExitOK
	}
	if text := Sentence(err); text != "" {
		fmt.Fprintln(a.Stderr, "assay: "+PrintableLines(text))
	}
	return exitCode(err)
}

// Group makes a command that only holds others: asked for something that it does not hold, it says what is near.
func Group(c *cobra.Command) *cobra.Command {
	c.Args = cobra.ArbitraryArgs
	c.RunE = func(c *cobra.Command, args []string) error {
		if len(args) == 0 {
			return c.Help()
		}
		return noCommand(c, args[0])
	}
	return c
}

// helpCommand is assay help, which knows as well as all others what is no command.
func helpCommand() *cobra.Command {
	return &cobra.Command{
		Use: "help [COMMAND...]", Short: "Help about any command", Args: cobra.ArbitraryArgs,
		ValidArgsFunction: func(c *cobra.Command, args []string, begin string) (names []string, _ cobra.ShellCompDirective) {
			if c, rest, err := c.Root().Find(args); err == nil && len(rest) == 0 {
				for _, sub := range c.Commands() {
					if sub.IsAvailableCommand() && strings.HasPrefix(sub.Name(), begin) {
						names = append(names, cobra.CompletionWithDesc(sub.Name(), sub.Short))
					}
				}
			}
			return names, cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(c *cobra.Command, args []string) error {
			c, rest, err := c.Root().Find(args)
			if err != nil {
				return err
			}
			if len(rest) > 0 && c.HasSubCommands() {
				return noCommand(c, rest[0])
			}
			return c.Help()
		},
	}
}

// maxNear is how many commands are named to whoever meant one of them.
const maxNear = 4

// noCommand says that a group does not hold a command, and which one may be meant: one that is called nearly so, or one of another group that is called so.
func noCommand(group *cobra.Command, name string) error {
	group.SuggestionsMinimumDistance = 2
	near := group.SuggestionsFor(name)
	for i := range near {
		near[i] = group.CommandPath() + " " + near[i]
	}
	if len(near) == 0 {
		near = called(group.Root(), name)
	}
	if near = near[:min(len(near), maxNear)]; len(near) > 0 {
		return Usage("there is no command %q; did you mean %s?", name, strings.Join(near, " or "))
	}
	return Usage("there is no command %q; see %s --help", name, group.CommandPath())
}

// called are the commands below c of a name.
func called(c *cobra.Command, name string) (paths []string) {
	for _, sub := range c.Commands() {
		if sub.Name() == name && sub.IsAvailableCommand() {
			paths = append(paths, sub.CommandPath())
		}
		paths = append(paths, called(sub, name)...)
	}
	return paths
}
