package main

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/spf13/cobra"
)

// adminFlag adds --admin to cmd.
func adminFlag(cmd *cobra.Command, into *string) {
	cmd.Flags().StringVar(into, "admin", envOr("SPILLWAY_ADMIN", defaultAdmin), "`URL` of the server's admin port; default from SPILLWAY_ADMIN")
}

// fromAdmin gets a document of the admin port.
func fromAdmin[T any](ctx context.Context, admin string, path ...string) (*T, error) {
	base, err := baseURL("--admin", admin)
	if err != nil {
		return nil, err
	}
	text, err := ask(ctx, base.JoinPath(path...))
	if err != nil {
		return nil, err
	}
	v := new(T)
	if err := json.Unmarshal(text, v); err != nil {
		return nil, fmt.Errorf("read what %s answered: %w", base.Host, err)
	}
	return v, nil
}
