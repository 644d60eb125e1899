// AWS's SDK for JavaScript, led here by environment variables alone: the life of a key.

import * as kms from "@aws-sdk/client-kms";
import { check, done, refused } from "./steps.mjs";

const client = new kms.KMSClient({ maxAttempts: 1 });
const made = await client.send(new kms.CreateKeyCommand({ Description: "life" }));
const KeyId = made.KeyMetadata.KeyId;
check(made.KeyMetadata.KeyState === "Enabled", "a new key is enabled");
done("create");

const EncryptionContext = { node: "1" };
const secret = Buffer.from("32 bytes, of which nobody knows.");
const sealed = await client.send(new kms.EncryptCommand({ KeyId, Plaintext: secret, EncryptionContext }));
const CiphertextBlob = sealed.CiphertextBlob;
const opened = await client.send(new kms.DecryptCommand({ CiphertextBlob, EncryptionContext }));
check(Buffer.from(opened.Plaintext).equals(secret), "decrypt returns what was encrypted");
done("encrypt and decrypt");
await refused("another context is refused", ["InvalidCiphertextException"], () =>
  client.send(new kms.DecryptCommand({ CiphertextBlob, EncryptionContext: { node: "2" } })),
);

const data = await client.send(new kms.GenerateDataKeyCommand({ KeyId, KeySpec: "AES_256" }));
const again = await client.send(new kms.DecryptCommand({ CiphertextBlob: data.CiphertextBlob }));
check(Buffer.from(again.Plaintext).equals(Buffer.from(data.Plaintext)), "a data key opens");
done("data key");

await client.send(new kms.RotateKeyOnDemandCommand({ KeyId }));
check((await client.send(new kms.ListKeyRotationsCommand({ KeyId }))).Rotations.length === 1, "one rotation");
await client.send(new kms.DecryptCommand({ CiphertextBlob, EncryptionContext }));
done("rotate");

await client.send(new kms.DisableKeyCommand({ KeyId }));
await refused("a disabled key is refused", ["DisabledException"], () =>
  client.send(new kms.DecryptCommand({ CiphertextBlob, EncryptionContext })),
);
await client.send(new kms.EnableKeyCommand({ KeyId }));
await client.send(new kms.ScheduleKeyDeletionCommand({ KeyId, PendingWindowInDays: 7 }));
await refused("a key to be deleted is refused", ["KMSInvalidStateException"], () =>
  client.send(new kms.EncryptCommand({ KeyId, Plaintext: secret })),
);
await client.send(new kms.CancelKeyDeletionCommand({ KeyId }));
await client.send(new kms.EnableKeyCommand({ KeyId }));
await client.send(new kms.DecryptCommand({ CiphertextBlob, EncryptionContext }));
done("cancel the deletion");
await refused("a key that is not there is refused", ["NotFoundException"], () =>
  client.send(new kms.DescribeKeyCommand({ KeyId: "00000000-0000-0000-0000-000000000000" })),
);
