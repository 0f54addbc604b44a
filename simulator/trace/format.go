package trace

import "fmt"

// Format names a format of traces.
type Format string

const (
	Azure2019  Format = "azure2019"  // Azure Functions 2019: counts per minute
	Azure2021  Format = "azure2021"  // Azure Functions 2021: a row a call
	InVitro    Format = "invitro"    // samples of Azure2019 by the InVitro tool: memory per function
	LLM        Format = "llm"        // Azure LLM inference: arrivals and tokens
	Usage      Format = "usage"      // our own export
	Huawei2023 Format = "huawei2023" // Huawei 2023, arXiv 2312.10127
	Synthetic  Format = "synthetic"  // made by New, from no file
)

// Formats returns the formats that Open reads.
func Formats() []Format {
	return []Format{Azure2019, Azure2021, InVitro, LLM, Usage, Huawei2023}
}

// Verified reports whether the format was read from real files of its publisher.
// Huawei 2023 was built from its documentation only.
func (f Format) Verified() bool { return f != Huawei2023 }

// Spread says where in its minute a counted call lies.
type Spread uint8

const (
	SpreadEven   Spread = iota // a function's calls at equal distances, at a phase that it keeps
	SpreadRandom               // each call anywhere, as in a Poisson process of that rate
)

var spreadNames = [...]string{"even", "random"}

func (s Spread) String() string { return spreadNames[s] }

// MarshalText writes the name.
func (s Spread) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads "even" or "random".
func (s *Spread) UnmarshalText(text []byte) error {
	for i, name := range spreadNames {
		if name == string(text) {
			*s = Spread(i)
			return nil
		}
	}
	return fmt.Errorf("spread %q is not known; allowed: even, random", text)
}
