package scaffold

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path"

	slipway "slipway.dev/slipway/helpers/internal/cli"
)

// write makes all the files or none. A file that appeared since init looked is not replaced.
func write(ctx context.Context, root *os.Root, files []file) (err error) {
	var made []string
	defer func() {
		if err == nil {
			return
		}
		for i := len(made) - 1; i >= 0; i-- { // folders after their files
			if undo := root.Remove(made[i]); undo != nil {
				err = slipway.Errorf(slipway.Unknown, "%s was written and could not be removed again", made[i]).
					Because(errors.Join(err, undo)).
					Next("remove it, then run init again")
				return
			}
		}
	}()
	for _, each := range files {
		folders, err := makeFolders(root, path.Dir(each.Path))
		made = append(made, folders...)
		if err == nil {
			err = ctx.Err()
		}
		if err == nil {
			var created bool
			if created, err = create(root, each); created {
				made = append(made, each.Path)
			}
		}
		if err != nil {
			return slipway.Errorf(slipway.Unknown, "%s cannot be written; nothing was written", each.Path).Because(err)
		}
	}
	return nil
}

// makeFolders gives those that it made, the outermost first.
func makeFolders(root *os.Root, folder string) ([]string, error) {
	if folder == "." {
		return nil, nil
	}
	made, err := makeFolders(root, path.Dir(folder))
	if err != nil {
		return made, err
	}
	err = root.Mkdir(folder, 0o755)
	if err == nil {
		return append(made, folder), nil
	}
	if errors.Is(err, fs.ErrExist) {
		if info, statErr := root.Stat(folder); statErr != nil || info.IsDir() {
			return made, statErr
		}
	}
	return made, err
}

func create(root *os.Root, each file) (created bool, err error) {
	out, err := root.OpenFile(each.Path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return false, err
	}
	_, err = out.WriteString(each.Text)
	return true, errors.Join(err, out.Close())
}
