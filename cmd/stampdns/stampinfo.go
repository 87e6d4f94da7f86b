package main

import (
	"github.com/spf13/cobra"
)

func (c *command) stampinfo() *cobra.Command {
	var flags stampFlags
	cmd := &cobra.Command{
		Use:   "stampinfo",
		Short: "print a synthetic AzureStackStampInformation.json",
		Long: `Print a synthetic stamp information file, in the shape of the one that a stamp
writes about itself. serve --stamp reads it back to the same zones.`,
		Example: `  stampdns stampinfo > AzureStackStampInformation.json
  stampdns stampinfo --region north --ns01 198.51.100.11 --ns02 198.51.100.12`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, err := flags.stamp()
			if err != nil {
				return err
			}
			info, err := s.Info()
			if err != nil {
				return err
			}
			_, err = c.stdout.Write(info)
			return err
		},
	}
	flags.add(c, cmd)
	return cmd
}
