<?php
// A receiver as the reference page describes it: the payload's contents, a shared key, hash_hmac, hash_equals.
function verifySignature(string $payloadContents, string $receivedSignature): bool
{
    $secretKey = getenv('SECRET_KEY');
    if ($secretKey === false || $secretKey === '') {
        return false;
    }
    return hash_equals(hash_hmac('sha256', $payloadContents, $secretKey), $receivedSignature);
}

$verified = verifySignature(file_get_contents('php://input'), $_SERVER['HTTP_X_SIGNATURE'] ?? '');
http_response_code($verified ? 200 : 500);
echo $verified ? 'verified' : 'invalid';
