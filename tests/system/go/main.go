// The life of a KMS key through AWS's Go SDK, as any program would use it: nothing here knows of the emulator.
// AWS_ENDPOINT_URL_KMS and credentials come from the environment. It stops with status 1 at the first step that AWS
// would have answered otherwise, and prints each step that went as it should.
package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
)

const timeout = 60 * time.Second

var (
	secret     = []byte("a secret of the Go SDK")
	encryption = map[string]string{"purpose": "test", "empty": ""}
)

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

type life struct {
	client *kms.Client
	key    *string
	blobs  [][]byte
}

func run(ctx context.Context) error {
	settings, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		return err
	}
	l := &life{client: kms.NewFromConfig(settings)}
	steps := []struct {
		name string
		do   func(context.Context) error
	}{
		{"create", l.create},
		{"encrypt", l.encrypt},
		{"wrong context is refused", l.decryptWithAnotherContext},
		{"rotate", l.rotate},
		{"encrypt after the rotation", l.encrypt},
		{"decrypt old and new", l.decrypt},
		{"disable", l.disable},
		{"disabled is refused", refused[*types.DisabledException](l.decrypt)},
		{"disabled is refused for encryption", refused[*types.DisabledException](l.encrypt)},
		{"enable", l.enable},
		{"decrypt when enabled again", l.decrypt},
		{"schedule deletion", l.scheduleDeletion},
		{"pending deletion is refused", refused[*types.KMSInvalidStateException](l.decrypt)},
		{"pending deletion is refused for encryption", refused[*types.KMSInvalidStateException](l.encrypt)},
		{"cancel deletion", l.cancelDeletion},
		{"cancelled is disabled", refused[*types.DisabledException](l.decrypt)},
		{"enable after the cancellation", l.enable},
		{"decrypt at the end", l.decrypt},
		{"a key that is not there is refused", refused[*types.NotFoundException](l.describeNothing)},
	}
	for _, step := range steps {
		if err := step.do(ctx); err != nil {
			return fmt.Errorf("%s: %w", step.name, err)
		}
		fmt.Println(step.name)
	}
	return nil
}

// refused expects an error of type E, told apart as callers do it.
func refused[E error](do func(context.Context) error) func(context.Context) error {
	return func(ctx context.Context) error {
		err := do(ctx)
		var expected E
		if !errors.As(err, &expected) {
			return fmt.Errorf("expected %T, got %v", expected, err)
		}
		return nil
	}
}

func (l *life) create(ctx context.Context) error {
	made, err := l.client.CreateKey(ctx, &kms.CreateKeyInput{Description: aws.String("life of a key")})
	if err != nil {
		return err
	}
	if made.KeyMetadata.KeyState != types.KeyStateEnabled {
		return fmt.Errorf("state %s", made.KeyMetadata.KeyState)
	}
	if age := time.Since(*made.KeyMetadata.CreationDate); age < -time.Minute || age > time.Minute {
		return fmt.Errorf("created %s ago", age)
	}
	l.key = made.KeyMetadata.KeyId
	return nil
}

func (l *life) encrypt(ctx context.Context) error {
	made, err := l.client.Encrypt(ctx, &kms.EncryptInput{KeyId: l.key, Plaintext: secret, EncryptionContext: encryption})
	if err != nil {
		return err
	}
	if bytes.Contains(made.CiphertextBlob, secret) {
		return errors.New("the ciphertext shows the plaintext")
	}
	l.blobs = append(l.blobs, made.CiphertextBlob)
	return nil
}

func (l *life) decrypt(ctx context.Context) error {
	for number, blob := range l.blobs {
		got, err := l.client.Decrypt(ctx, &kms.DecryptInput{CiphertextBlob: blob, EncryptionContext: encryption})
		if err != nil {
			return err
		}
		if !bytes.Equal(got.Plaintext, secret) {
			return fmt.Errorf("ciphertext %d holds something else", number)
		}
	}
	return nil
}

func (l *life) decryptWithAnotherContext(ctx context.Context) error {
	other := map[string]string{"purpose": "test"}
	_, err := l.client.Decrypt(ctx, &kms.DecryptInput{CiphertextBlob: l.blobs[0], EncryptionContext: other})
	return refused[*types.InvalidCiphertextException](func(context.Context) error { return err })(ctx)
}

func (l *life) rotate(ctx context.Context) error {
	if _, err := l.client.RotateKeyOnDemand(ctx, &kms.RotateKeyOnDemandInput{KeyId: l.key}); err != nil {
		return err
	}
	list, err := l.client.ListKeyRotations(ctx, &kms.ListKeyRotationsInput{KeyId: l.key})
	if err != nil {
		return err
	}
	if len(list.Rotations) != 1 || list.Rotations[0].RotationType != types.RotationTypeOnDemand {
		return fmt.Errorf("rotations %+v", list.Rotations)
	}
	return nil
}

func (l *life) disable(ctx context.Context) error {
	_, err := l.client.DisableKey(ctx, &kms.DisableKeyInput{KeyId: l.key})
	return err
}

func (l *life) enable(ctx context.Context) error {
	_, err := l.client.EnableKey(ctx, &kms.EnableKeyInput{KeyId: l.key})
	return err
}

func (l *life) scheduleDeletion(ctx context.Context) error {
	got, err := l.client.ScheduleKeyDeletion(ctx, &kms.ScheduleKeyDeletionInput{
		KeyId: l.key, PendingWindowInDays: aws.Int32(7),
	})
	if err != nil {
		return err
	}
	if got.KeyState != types.KeyStatePendingDeletion {
		return fmt.Errorf("state %s", got.KeyState)
	}
	return nil
}

func (l *life) cancelDeletion(ctx context.Context) error {
	_, err := l.client.CancelKeyDeletion(ctx, &kms.CancelKeyDeletionInput{KeyId: l.key})
	return err
}

func (l *life) describeNothing(ctx context.Context) error {
	_, err := l.client.DescribeKey(ctx, &kms.DescribeKeyInput{KeyId: aws.String("alias/nothing")})
	return err
}
