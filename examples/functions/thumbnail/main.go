// Thumbnail draws a square picture and scales it down: pure computation, a few
// milliseconds at the usual sizes.
package main

import (
	"bytes"
	"context"
	"fmt"
	"image"
	"image/color"
	"image/png"

	"github.com/aws/aws-lambda-go/lambda"

	"github.com/spillway-dev/spillway/examples/functions/internal/executionlog"
)

const maxSize = 4096

type event struct {
	Size int `json:"size"` // edge of the source in pixels, 16 to 4096; 256 if absent
}

type answer struct {
	Width int    `json:"width"`
	PNG   []byte `json:"png"`
}

func main() { lambda.Start(thumbnail) }

func thumbnail(ctx context.Context, e event) (answer, error) {
	end, err := executionlog.Begin(ctx)
	if err != nil {
		return answer{}, err
	}
	defer end()
	if e.Size == 0 {
		e.Size = 256
	}
	if e.Size < 16 || e.Size > maxSize {
		return answer{}, fmt.Errorf("size is %d; allowed: 16 to %d", e.Size, maxSize)
	}
	small := halve(halve(draw(e.Size)))
	var out bytes.Buffer
	if err := png.Encode(&out, small); err != nil {
		return answer{}, fmt.Errorf("encode the thumbnail: %w", err)
	}
	return answer{small.Rect.Dx(), out.Bytes()}, nil
}

func draw(size int) *image.RGBA {
	picture := image.NewRGBA(image.Rect(0, 0, size, size))
	for y := range size {
		for x := range size {
			picture.SetRGBA(x, y, color.RGBA{uint8(x * y >> 6), uint8(x ^ y), uint8(x + y), 255})
		}
	}
	return picture
}

// halve averages each block of four pixels.
func halve(src *image.RGBA) *image.RGBA {
	width, height := src.Rect.Dx()/2, src.Rect.Dy()/2
	dst := image.NewRGBA(image.Rect(0, 0, width, height))
	for y := range height {
		for x := range 4 * width {
			at := 2*y*src.Stride + x/4*8 + x%4
			sum := int(src.Pix[at]) + int(src.Pix[at+4]) + int(src.Pix[at+src.Stride]) + int(src.Pix[at+src.Stride+4])
			dst.Pix[y*dst.Stride+x] = uint8(sum / 4)
		}
	}
	return dst
}
