// Payroll works on salaries and must stay on premises: its function object
// denies bursting. It answers how many people it paid and never who.
package main

import (
	"context"
	"errors"

	"github.com/aws/aws-lambda-go/lambda"

	"github.com/spillway-dev/spillway/examples/functions/internal/executionlog"
)

type event struct {
	Salaries []int64 `json:"salaries"` // gross, in cents a month
}

type answer struct {
	Paid     int   `json:"paid"`
	NetCents int64 `json:"netCents"`
}

func main() { lambda.Start(pay) }

func pay(ctx context.Context, e event) (answer, error) {
	end, err := executionlog.Begin(ctx)
	if err != nil {
		return answer{}, err
	}
	defer end()
	var result answer
	for _, gross := range e.Salaries {
		if gross < 0 {
			return answer{}, errors.New("a salary is negative")
		}
		result.Paid++
		result.NetCents += gross - gross*30/100
	}
	return result, nil
}
