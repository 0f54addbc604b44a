// Echo answers its event unchanged.
package main

import (
	"context"
	"encoding/json"

	"github.com/aws/aws-lambda-go/lambda"

	"github.com/spillway-dev/spillway/examples/functions/internal/executionlog"
)

func main() { lambda.Start(echo) }

func echo(ctx context.Context, event json.RawMessage) (json.RawMessage, error) {
	end, err := executionlog.Begin(ctx)
	if err != nil {
		return nil, err
	}
	defer end()
	return event, nil
}
