# The app exchanges its credentials for an access token.
TOKEN=$(curl -sS "$URL/oauth/token" -u "$CLIENT_ID:$CLIENT_SECRET" -d grant_type=client_credentials | sed 's/.*"access_token":"\([^"]*\)".*/\1/')

# It asks who it is.
curl -sS "$URL/v2/apps/me" -H "Authorization: Bearer $TOKEN"; echo

# It signs an end user up.
curl -sS "$URL/v2/auth/signup" -H "Authorization: Bearer $TOKEN" -H 'Content-Type: application/json' -d '{"email":"ada@example.com","password":"correct horse battery staple","name":"Ada"}'; echo

# The user gets a code by mail; here, mails are files.
CODE=$("$KEYSTEAD" mail show --to ada@example.com --latest | grep -oE '[0-9]{6}')

# The code confirms the address.
curl -sS "$URL/v2/auth/verify-email" -H "Authorization: Bearer $TOKEN" -H 'Content-Type: application/json' -d "{\"email\":\"ada@example.com\",\"code\":\"$CODE\"}"; echo

# The user signs in, and gets a session.
SESSION=$(curl -sS "$URL/v2/auth/login" -H "Authorization: Bearer $TOKEN" -H 'Content-Type: application/json' -d '{"email":"ada@example.com","password":"correct horse battery staple"}' | sed 's/.*"session_token":"\([^"]*\)".*/\1/')

# The app asks who the session belongs to.
curl -sS "$URL/v2/auth/me" -H "Authorization: Bearer $TOKEN" -H "X-Session-Token: $SESSION"; echo
