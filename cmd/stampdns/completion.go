package main

import (
	"slices"

	"github.com/spf13/cobra"
)

// shells are those that completion can be made for.
var shells = [...]string{"bash", "zsh", "fish", "powershell"}

func (c *command) completion() *cobra.Command {
	return &cobra.Command{
		Use:   "completion bash|zsh|fish|powershell",
		Short: "print a shell completion script",
		Long:  `Print the script that completes verbs, flags and their values in a shell.`,
		Example: `  source <(stampdns completion bash)
  stampdns completion zsh > "${fpath[1]}/_stampdns"
  stampdns completion fish > ~/.config/fish/completions/stampdns.fish
  stampdns completion powershell | Out-String | Invoke-Expression`,
		ValidArgs: shells[:],
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 || !slices.Contains(shells[:], args[0]) {
				return usagef("name one shell: stampdns %s", cmd.Use)
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			root := cmd.Root()
			switch args[0] {
			case "bash":
				return root.GenBashCompletionV2(c.stdout, true)
			case "zsh":
				return root.GenZshCompletion(c.stdout)
			case "fish":
				return root.GenFishCompletion(c.stdout, true)
			default:
				return root.GenPowerShellCompletionWithDesc(c.stdout)
			}
		},
	}
}

// complete has a flag offer values in the shell.
func complete(cmd *cobra.Command, flag string, values ...string) {
	// The one error is that the flag does not exist.
	if err := cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp)); err != nil {
		panic(err)
	}
}
