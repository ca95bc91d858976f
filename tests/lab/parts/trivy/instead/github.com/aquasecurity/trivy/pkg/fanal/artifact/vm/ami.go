package vm

import "errors"

// AMI is an image of Amazon's, whose client takes a minute to build.
type AMI struct{ *EBS }

func newAMI(string, Storage, string, string) (*AMI, error) {
	return nil, errors.New("images of Amazon's machines are not in this build")
}
